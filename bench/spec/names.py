"""How fields and methods are written for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.core.keys import canonical

NOTHING = "\N{EN DASH}"

REFERENCES = {"none": "clean", "random-noise": "noise"}
"""What others are measured against, with what each stands for: never the best protection."""


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


def method_label(name: str, own: Mapping[str, Any], variants: Sequence[Mapping[str, Any]]) -> str:
    """Return a method's name with those of its `own` parameters in which `variants`, all of its name, differ."""
    parameters = parameters_text(differing(own, variants))
    return f"{name} ({parameters})" if parameters else name
