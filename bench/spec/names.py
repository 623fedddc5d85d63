"""How fields and methods are written for people."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bench.core.keys import canonical

NOTHING = "\N{EN DASH}"

NAMES_FILES = "letters, digits, '.', '_' and '-'"
"""What names of experiments, and of what gives its name to one, may hold."""

USUAL_BUDGET = ("linf", 8.0)
"""Norm and size that most of this field measures."""
REFERENCES = {"none": "clean", "random-noise": "noise"}
"""What others are measured against, with what each stands for: never the best protection."""


def names_files(name: str) -> bool:
    """Tell whether a name may be that of a file: `NAMES_FILES`, of which the first is a letter or a digit."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) is not None


def as_file_name(text: str, longest: int | None = None) -> str:
    """Return a text with a hyphen for whatever names of files may not hold; empty where nothing is left."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:longest].strip("-._")


def as_text(value: object) -> str:
    """Return a record field as a person writes it: 8 for 8.0, none for None."""
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return canonical(value)
    if isinstance(value, list | tuple):
        return ",".join(map(as_text, value))
    return str(value)


def passes_text(passes: float) -> str:
    """Return a number of passes as people read it: four figures, and all of a larger number."""
    return f"{passes:,.0f}" if passes >= 1000 else f"{passes:.4g}"


def parameters_text(params: Mapping[str, Any]) -> str:
    """Return parameters as in `checkpoints=5, steps=30`."""
    return ", ".join(f"{name}={as_text(value)}" for name, value in params.items())


def differing(own: Mapping[str, Any], variants: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return those of a method's `own` parameters in which `variants` of it differ, itself among them."""
    return {
        name: value
        for name, value in own.items()
        if any(name not in other or other[name] != value for other in variants)
    }


def natural(text: str) -> tuple[tuple[bool, int, str], ...]:
    """Return a sort key under which numbers within texts rise: jpeg-10 before jpeg-50 before jpeg-100."""
    parts = re.findall(r"\d+|\D+", text)
    return tuple((part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts)


def method_label(name: str, own: Mapping[str, Any], variants: Sequence[Mapping[str, Any]]) -> str:
    """Return a method's name with those of its `own` parameters in which `variants`, all of its name, differ."""
    parameters = parameters_text(differing(own, variants))
    return f"{name} ({parameters})" if parameters else name


def defense_label(written: str) -> str:
    """Return a defense as people write it: `adversarial training, radius 8, 3 steps`.

    Only what names parameters, as in `adversarial-training:radius=8,steps=3`, is put into words: names and short forms
    such as `jpeg-10` are what people write themselves.
    """
    if ":" not in written:
        return written
    return " + ".join(map(_part_label, written.split("+")))


def _part_label(part: str) -> str:
    name, _, parameters = part.partition(":")
    if not parameters:
        return part
    words = re.sub(r"(?<=[a-z]{3})-(?=[a-z]{3})", " ", name)  # not those of abbreviations, as in dp-sgd
    return ", ".join([words, *(_parameter_label(*one.partition("=")) for one in parameters.split(","))])


def _parameter_label(field: str, equals: str, value: str) -> str:
    words = field.replace("_", " ")
    if not equals:  # the rest of a value that has a comma itself
        return field
    if value.lower() in ("true", "false"):
        return words if value.lower() == "true" else f"no {words}"
    if value.isdecimal() and re.search(r"[^isu]s$", words):  # steps, but no radius
        return f"{value} {words.removesuffix('s') if value == '1' else words}"
    return f"{words} {value}"
