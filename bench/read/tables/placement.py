"""Where every cell stands: labels, order, the grid."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from bench.core.keys import canonical
from bench.read.tables.table import (
    BUDGET_FREE,
    SHARE_FREE,
    AxisValue,
    Cell,
    Header,
    Labels,
    Setting,
)
from bench.spec.layout import TableLayout
from bench.spec.names import (
    REFERENCES,
    budget_label,
    clean_label,
    method_label,
    share_label,
)


def axis_labels(axis: str, settings: list[Setting], order: Sequence[tuple[str, Mapping[str, Any]]]) -> Labels:
    """Return the values of an axis in the order they are shown, with what each is called."""
    values = list(dict.fromkeys(_value(setting, axis) for setting in settings))
    if axis == "method":
        wanted = [(name, canonical(params)) for name, params in order]
        rest = [method for method in values if method not in wanted]
        references = [method for name in REFERENCES for method in rest if method[0] == name]
        others = [method for method in rest if method not in references]
        values = [*references, *(method for method in wanted if method in values), *others]
        return {method: _method_label(method, values) for method in values}
    if axis == "budget":
        norms = list(dict.fromkeys(norm for norm, _ in values if norm is not None))
        values.sort(key=lambda budget: (-1, 0) if budget == BUDGET_FREE else (norms.index(budget[0]), budget[1]))
        return {budget: budget_label(*budget) for budget in values}
    if axis == "protected_fraction":
        return {share: share_label(share) for share in sorted(values, key=lambda share: share or 0)}
    if axis == "clean_images":
        return {count: clean_label(count) for count in sorted(values)}
    return {value: value for value in values}


def _method_label(method: AxisValue, methods: list[AxisValue]) -> str:
    variants = [json.loads(params) for other, params in methods if other == method[0]]
    return method_label(method[0], json.loads(method[1]), variants)


def _value(setting: Setting, axis: str) -> AxisValue:
    if axis == "method":
        return setting.method, setting.method_params
    if axis == "budget":
        return setting.norm, setting.budget
    if axis == "protected_fraction" and setting.method == "none":
        return SHARE_FREE
    return getattr(setting, axis)


def _is_free(setting: Setting, axis: str) -> bool:
    """Return whether the setting has no value of its own on an axis, and stands beside those that have one."""
    return (axis, _value(setting, axis)) in (("budget", BUDGET_FREE), ("protected_fraction", SHARE_FREE))


def _at(setting: Setting, axis: str, value: AxisValue) -> Setting:
    """Return the setting moved to another value of an axis."""
    if axis == "method":
        return replace(setting, method=value[0], method_params=value[1])
    if axis == "budget":
        return replace(setting, norm=value[0], budget=value[1])
    if axis == "protected_fraction":
        return replace(setting, protected_fraction=1.0 if value is SHARE_FREE else value)
    return replace(setting, **{axis: value})


def lay_out(
    cells: Mapping[Setting, Cell], layout: TableLayout, labels: Mapping[str, Labels]
) -> tuple[list[Header], list[Header], tuple[tuple[Cell, ...], ...]]:
    """Return the row headers, the column headers and the grid of cells."""
    row_axes, column_axes = layout.row_axes, layout.columns
    placed = {
        (row, column): cell
        for setting, cell in cells.items()
        for row in _places(setting, row_axes, cells)
        for column in _places(setting, column_axes, cells)
    }

    def ordered(headers: Iterable[Header], axes: list[str]) -> list[Header]:
        ranks = {axis: list(labels[axis]) for axis in axes}
        return sorted(set(headers), key=lambda header: [ranks[a].index(v) for a, v in zip(axes, header, strict=True)])

    rows = ordered((row for row, _ in placed), row_axes)
    columns = ordered((column for _, column in placed), column_axes)
    anywhere = next((setting for setting in cells if setting.norm is not None), next(iter(cells)))
    budget_free = {_value(setting, "method") for setting in cells if setting.norm is None}

    def hole(row: Header, column: Header) -> Cell:
        setting = anywhere
        for axis, value in zip([*row_axes, *column_axes], [*row, *column], strict=True):
            setting = _at(setting, axis, value)
        if _value(setting, "method") in budget_free:
            setting = _at(setting, "budget", BUDGET_FREE)
        if setting.method == "none":
            setting = _at(setting, "protected_fraction", SHARE_FREE)
        return Cell(**asdict(setting))

    grid = tuple(tuple(placed.get((row, column)) or hole(row, column) for column in columns) for row in rows)
    return rows, columns, grid


def _places(setting: Setting, axes: list[str], settings: Iterable[Setting]) -> list[Header]:
    """Return the headers a setting stands under: one, or for a reference those of all budgets or shares."""
    own = _header(setting, axes)
    free = {axis for axis in axes if _is_free(setting, axis)}
    # Where method shares a side of the table with them the reference has a line of its own.
    if not free or "method" in axes:
        return [own]
    bound = [axis for axis in axes if axis not in free]
    others = [other for other in settings if not any(_is_free(other, axis) for axis in free)]
    alike = [other for other in others if _header(other, bound) == _header(setting, bound)]
    return list(dict.fromkeys(_header(other, axes) for other in alike)) or [own]


def _header(setting: Setting, axes: list[str]) -> Header:
    return tuple(_value(setting, axis) for axis in axes)


def varying(axes: list[str], headers: list[Header]) -> list[str]:
    """Return the axes on which the headers differ."""
    return [axis for i, axis in enumerate(axes) if len({header[i] for header in headers}) > 1]


def header_labels(
    headers: list[Header], axes: list[str], kept: list[str], labels: Mapping[str, Labels]
) -> tuple[tuple[str, ...], ...]:
    """Return the labels of every header on the axes that are kept."""
    return tuple(
        tuple(labels[axis][value] for axis, value in zip(axes, header, strict=True) if axis in kept)
        for header in headers
    )
