"""How fields, budgets and axes are written for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.core.keys import canonical

NOTHING = "\N{EN DASH}"

REFERENCES = ("none", "random-noise")
"""The methods that others are measured against: never the best protection."""


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


def method_label(name: str, own: Mapping[str, Any], variants: Sequence[Mapping[str, Any]]) -> str:
    """Return a method's name with those of its `own` parameters in which `variants`, all of its name, differ."""
    telling = [field for field in own if any(field not in one or one[field] != own[field] for one in variants)]
    return f"{name} ({', '.join(f'{field}={as_text(own[field])}' for field in telling)})" if telling else name


def budget_label(norm: str | None, size: float | None) -> str:
    """Return a budget as in `linf-8`, a dash for none."""
    return NOTHING if norm is None else f"{norm}-{size:g}"


def share_label(fraction: float | None) -> str:
    """Return the protected share of the training images as in `60 %`, a dash for none."""
    return NOTHING if fraction is None else f"{100 * fraction:g} %"


def clean_label(count: int) -> str:
    """Return how many clean images a victim has besides the release."""
    return f"{count or 'no'} clean image{'s' * (count != 1)}"


def axis_title(axis: str) -> str:
    """Return what an axis is called in text."""
    titles = {"dataset": "data set", "protected_fraction": "protected fraction", "clean_images": "clean images"}
    return titles.get(axis, axis)
