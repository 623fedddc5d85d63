"""Arguments of calls from Python: what they may be, and sentences on options that speak of them instead."""

import re
from collections.abc import Mapping
from operator import index
from typing import Any

from bench.core.errors import SepbenchError
from bench.core.validation import shown

# What follows an option is its value where it is quoted, ends in a colon or is a device; `name` is never alone.
_OPTION = re.compile(r"--(?:(name)( )|([a-z]+(?:-[a-z]+)*)( (?='|[^\s=]+: |cpu\b|cuda\b))?)")
_NAMES = (
    *("budget", "clean", "compile", "defenses", "devices", "force", "holdout", "jobs", "method", "name", "only"),
    *("profile", "recipe", "seed", "seeds", "set", "size", "stage-limit", "surrogate", "test", "time-limit", "victims"),
)


def as_arguments(sentence: str) -> str:
    """Return a sentence that tells of options, as `--devices tpu: …`, with the arguments of a call: `devices=tpu: …`.

    An option that no call has stays as it is.
    """

    def argument(found: re.Match[str]) -> str:
        option, value = found[1] or found[3], found[2] or found[4]
        if option not in _NAMES:
            return found[0]
        return option.replace("-", "_") + ("=" if value else "")

    return _OPTION.sub(argument, sentence)


def given_text(argument: str, value: Any, what: str) -> str:
    """Return a text; raises `SepbenchError` where it is none, `what` being what to give."""
    if not isinstance(value, str):
        raise _wrong(argument, value, what)
    return value


def as_whole(argument: str, value: Any, least: int, what: str) -> int:
    """Return a whole number, also one of NumPy; raises `SepbenchError` where it is none or less than `least`."""
    try:
        number = None if isinstance(value, bool) else index(value)
    except TypeError:
        number = None
    if number is None or number < least:
        raise _wrong(argument, value, what)
    return number


def as_share(argument: str, value: Any) -> float:
    """Return a number between 0 and 1; raises `SepbenchError` where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise _wrong(argument, value, "a share between 0 and 1, such as 0.2")
    return float(value)


def as_texts(argument: str, value: Any, what: str) -> tuple[str, ...]:
    """Return texts, of which a single one may be given without a list; raises `SepbenchError` for anything else."""
    several = (value,) if isinstance(value, str) else _listed(argument, value, what)
    if not all(isinstance(one, str) for one in several):
        raise _wrong(argument, value, what)
    return several


def as_wholes(argument: str, value: Any, what: str) -> tuple[int, ...]:
    """Return whole numbers from 0 up, of which a single one may be given without a list."""
    several = (value,) if hasattr(value, "__index__") and not hasattr(value, "__len__") else None
    several = _listed(argument, value, what) if several is None else several
    if not several:
        raise _wrong(argument, value, what)
    return tuple(as_whole(argument, one, 0, what) for one in several)


def check_named(argument: str, value: Any, what: str) -> None:
    """Raise `SepbenchError` unless something is given by its name or by a mapping."""
    if not isinstance(value, str | Mapping):
        raise _wrong(argument, value, what)


def as_pair(argument: str, value: Any, what: str) -> tuple[Any, Any]:
    """Return the two things of a pair; raises `SepbenchError` where it is none."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise SepbenchError(f"{argument} is no pair: give {what}")
    return value[0], value[1]


def _listed(argument: str, value: Any, what: str) -> tuple[Any, ...]:
    if isinstance(value, str | bytes | Mapping):
        raise _wrong(argument, value, what)
    try:
        return tuple(value)
    except TypeError as error:
        raise _wrong(argument, value, what) from error


def _wrong(argument: str, value: Any, what: str) -> SepbenchError:
    given = "None" if value is None else " ".join(shown(value).split())
    return SepbenchError(f"{argument}={given}: give {what}")
