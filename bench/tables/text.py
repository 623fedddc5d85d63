"""How fields, budgets and axes are written for people."""

from collections.abc import Mapping

from bench.keys import canonical

NOTHING = "\N{EN DASH}"


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


def budget_label(norm: str | None, size: float | None) -> str:
    """Return a budget as in `linf-8`, a dash for none."""
    return NOTHING if norm is None else f"{norm}-{size:g}"


def axis_title(axis: str) -> str:
    """Return what an axis is called in text."""
    return "data set" if axis == "dataset" else axis
