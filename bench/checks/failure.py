"""How a check says that a promise is broken."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.contracts.promises import BrokenPromise


class Failure(Exception):  # noqa: N818 - reads as what it is
    """A promise is broken: what is wrong and what to do, a sentence; `hook` names the function that it is about."""

    def __init__(self, sentence: str, hook: str | None = None) -> None:
        super().__init__(sentence)
        self.hook = hook


def require(holds: bool, sentence: str, hook: str | None = None) -> None:
    """Raise `Failure` unless something holds."""
    if not holds:
        raise Failure(sentence, hook)


@contextmanager
def about(hook: str) -> Iterator[None]:
    """Let a `BrokenPromise` in the block be a failure of a hook."""
    try:
        yield
    except BrokenPromise as error:
        raise Failure(str(error), hook) from error


def check_description(plugin: Any, *, versioned: bool = True) -> None:
    """Fail unless the docstring begins with a line, and the version counts from 1."""
    first = (plugin.__doc__ or "").strip().partition("\n")[0].strip()
    require(bool(first), "it has no docstring: write one, whose first line is what sepbench ls prints")
    if versioned:
        version = plugin.version
        require(type(version) is int and version >= 1, f"its version is {version!r}: write a whole number from 1 up")


def check_parameters(kind: Any) -> None:
    """Fail where parameters are not described, or may be changed or misspelt."""
    config = kind.Params.model_config
    strict = config.get("frozen") and config.get("strict") and config.get("extra") == "forbid"
    require(bool(strict), "its Params loosen what bench.api.Params sets: leave frozen, strict and extra as they are")
    told = f"{kind.__doc__} {kind.Params.__doc__}"
    silent = [name for name, field in kind.Params.model_fields.items() if not field.description and name not in told]
    require(
        not silent,
        f"nothing says what {', '.join(silent)} {'is' if len(silent) == 1 else 'are'}: write Field(..., "
        f"description=...), or name it in the docstring",
    )
