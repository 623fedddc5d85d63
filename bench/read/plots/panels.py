"""Which cells of a table share one pair of axes."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from bench.read.tables import Cell, Setting, Table

# The method is what is compared; for the others the reference is the same.
_METHOD = ("method", "method_params")
_NOT_OF_THE_REFERENCE = ("norm", "budget", "protected_fraction")


@dataclass(frozen=True)
class Panel:
    """The cells of all methods under one budget, victim, defense, ...; the budget-free reference stands in each."""

    title: str
    cells: tuple[Cell, ...]


def panels(table: Table) -> list[Panel]:
    """Return the panels of a table in the order of its cells, titled by what tells them apart."""
    cells = planned(table)
    contexts: dict[tuple[Any, ...], dict[str, Any]] = {}
    for cell in [one for one in cells if one.norm is not None] or cells:
        context = _context(cell)
        contexts.setdefault(tuple(context.values()), context)
    varying = _varying(list(contexts.values()))
    return [
        Panel(_title(context, varying), tuple(cell for cell in cells if _belongs(cell, context)))
        for context in contexts.values()
    ]


def full_name(label: str, panel: Panel) -> str:
    """Return what a method is called beyond its panel."""
    return f"{label}, {panel.title}" if panel.title else label


def planned(table: Table) -> list[Cell]:
    """Return the distinct cells that the experiment has: not those that stand only where the grid has room."""
    return [cell for cell in table.distinct_cells() if cell.runs]


def method_labels(cells: Iterable[Setting], without: str | None = None) -> dict[tuple[str, str], str]:
    """Return a name for each (method, method_params): with the parameters that differ within the method.

    The parameter `without` is left out of the names.
    """
    return {
        method: ", ".join([method[0], *(f"{name}={shown(value)}" for name, value in own.items() if name != without)])
        for method, own in _telling(cells).items()
    }


def settings_within(cells: Iterable[Setting]) -> tuple[list[str], dict[tuple[str, str], str]]:
    """Return what tells settings of a method apart, as short as can be, for each (method, method_params).

    Where that are the same parameters in all methods, their names are returned, and the texts are their values alone.
    """
    telling = _telling(cells)
    spanned = {tuple(own) for own in telling.values() if own}
    if len(spanned) == 1:
        return list(spanned.pop()), {method: ", ".join(map(shown, own.values())) for method, own in telling.items()}
    return [], {
        method: ", ".join(f"{name}={shown(value)}" for name, value in own.items()) for method, own in telling.items()
    }


def telling_apart(cells: Sequence[Cell]) -> dict[Cell, str]:
    """Return for each cell what of its context differs between the cells."""
    contexts = [_context(cell) for cell in cells]
    varying = _varying(contexts)
    return {cell: _title(context, varying) for cell, context in zip(cells, contexts, strict=True)}


def _telling(cells: Iterable[Setting]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return for each (method, method_params) the parameters that differ within the method."""
    methods = {(cell.method, cell.method_params): json.loads(cell.method_params) for cell in cells}
    return {
        (name, text): {
            field: value
            for field, value in own.items()
            if any(
                field not in other or other[field] != value for (method, _), other in methods.items() if method == name
            )
        }
        for (name, text), own in methods.items()
    }


def shown(value: Any) -> str:
    """Return a parameter as a person writes it."""
    return f"{value:g}" if isinstance(value, float) else str(value) if isinstance(value, str) else json.dumps(value)


def _context(cell: Setting) -> dict[str, Any]:
    # A cell is its setting and numbers: what is compared is all of the setting but the method.
    return {name: getattr(cell, name) for name in (field.name for field in fields(Setting)) if name not in _METHOD}


def _belongs(cell: Cell, context: dict[str, Any]) -> bool:
    own = _context(cell)
    free = _NOT_OF_THE_REFERENCE if cell.norm is None else ()
    return all(own[name] == value for name, value in context.items() if name not in free)


def _varying(contexts: Sequence[dict[str, Any]]) -> list[str]:
    return [name for name in contexts[0] if len({context[name] for context in contexts}) > 1] if contexts else []


def _title(context: dict[str, Any], varying: list[str]) -> str:
    parts = []
    if {"norm", "budget"} & set(varying):
        parts.append(f"{context['norm']}-{context['budget']:g}")
    for name in varying:
        if name not in ("norm", "budget"):
            value = context[name]
            parts.append(value if isinstance(value, str) else f"{name.replace('_', ' ')} {shown(value)}")
    return " · ".join(parts)
