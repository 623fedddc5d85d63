"""Which cells of a table share one pair of axes."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.read.tables import Setting, Table, TableCell
from bench.spec.axes import AXES, AxisValue, axes_in_order
from bench.spec.names import as_text, differing, parameters_text

ENOUGH = 3
"""Different places along an axis that make a panel with a curve: fewer are told by the table."""


@dataclass(frozen=True)
class Panel:
    """The cells of all methods under one budget, victim, defense, ...; the budget-free reference stands in each."""

    title: str
    cells: tuple[TableCell, ...]


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


def planned(table: Table) -> list[TableCell]:
    """Return the distinct cells that the experiment has: not those that stand only where the grid has room."""
    return [cell for cell in table.distinct_cells() if cell.runs]


def method_labels(cells: Iterable[Setting], without: str | None = None) -> dict[tuple[str, str], str]:
    """Return a name for each (method, method_params): with the parameters that differ within the method.

    The parameter `without` is left out of the names.
    """
    return {
        method: ", ".join(filter(None, [method[0], parameters_text({k: v for k, v in own.items() if k != without})]))
        for method, own in _variants(cells).items()
    }


def settings_within(cells: Iterable[Setting]) -> tuple[list[str], dict[tuple[str, str], str]]:
    """Return what tells settings of a method apart, as short as can be, for each (method, method_params).

    Where that are the same parameters in all methods, their names are returned, and the texts are their values alone.
    """
    variants = _variants(cells)
    spanned = {tuple(own) for own in variants.values() if own}
    if len(spanned) == 1:
        values = {
            method: ", ".join("-" if one is None else as_text(one) for one in own.values())
            for method, own in variants.items()
        }
        return list(spanned.pop()), values
    return [], {method: parameters_text(own) for method, own in variants.items()}


def baseline_labels(cells: Sequence[TableCell]) -> dict[TableCell, str]:
    """Return for each baseline of several what of its setting differs from the others'."""
    contexts = [_context(cell) for cell in cells]
    varying = _varying(contexts)
    return {cell: _title(context, varying) for cell, context in zip(cells, contexts, strict=True)}


def _variants(cells: Iterable[Setting]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return for each (method, method_params) the parameters that differ within the method."""
    methods = {(cell.method, cell.method_params): json.loads(cell.method_params) for cell in cells}
    return {
        (name, text): differing(own, [other for (method, _), other in methods.items() if method == name])
        for (name, text), own in methods.items()
    }


def _context(cell: Setting) -> dict[str, AxisValue]:
    """Return the values of all axes but the method, which is what is compared."""
    return {
        axis.name: cell[axis.name] for axis in axes_in_order("budget", "dataset", "recipe") if axis.name != "method"
    }


def _belongs(cell: TableCell, context: dict[str, AxisValue]) -> bool:
    return all(cell[axis] in (None, value) for axis, value in context.items())


def _varying(contexts: Sequence[dict[str, AxisValue]]) -> list[str]:
    return [name for name in contexts[0] if len({context[name] for context in contexts}) > 1] if contexts else []


def _title(context: dict[str, AxisValue], varying: list[str]) -> str:
    axes = [AXES[name] for name in varying]
    return " · ".join(
        axis.label(context[axis.name]) if axis.usual is None else axis.phrase(context[axis.name]) for axis in axes
    )
