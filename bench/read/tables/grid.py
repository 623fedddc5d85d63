"""Where every cell stands: labels, order, the grid."""

from collections.abc import Iterable, Mapping, Sequence

from bench.read.tables.table import (
    Grid,
    Header,
    Labels,
    Setting,
    TableCell,
)
from bench.spec.axes import AXES, AxisValue
from bench.spec.layout import TableLayout


def axis_labels(axis: str, settings: list[Setting], wanted: Sequence[AxisValue]) -> Labels:
    """Return the values of an axis in the order they are shown, with what each is called."""
    values = AXES[axis].order(list(dict.fromkeys(setting[axis] for setting in settings)), wanted)
    return {value: AXES[axis].label(value, values) for value in values}


def lay_out(
    cells: Mapping[Setting, TableCell], layout: TableLayout, labels: Mapping[str, Labels]
) -> tuple[list[Header], list[Header], Grid]:
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
    anywhere = next((setting for setting in cells if None not in setting.values), next(iter(cells)))
    free = {(axis, setting["method"]) for setting in cells for axis in AXES if setting[axis] is None}

    def hole(row: Header, column: Header) -> TableCell:
        setting = anywhere
        for axis, value in zip([*row_axes, *column_axes], [*row, *column], strict=True):
            setting = setting.at(axis, value)
        for axis in AXES:
            if (axis, setting["method"]) in free:
                setting = setting.at(axis, None)
        return TableCell(setting.values)

    grid = tuple(tuple(placed.get((row, column)) or hole(row, column) for column in columns) for row in rows)
    return rows, columns, grid


def _places(setting: Setting, axes: list[str], settings: Iterable[Setting]) -> list[Header]:
    """Return the headers a setting stands under: one, or for a reference those of all budgets or shares."""
    own = _header(setting, axes)
    free = [axis for axis in axes if setting[axis] is None]
    # Where method shares a side of the table with them the reference has a line of its own.
    if not free or "method" in axes:
        return [own]
    bound = [axis for axis in axes if axis not in free]
    others = [other for other in settings if all(other[axis] is not None for axis in free)]
    alike = [other for other in others if _header(other, bound) == _header(setting, bound)]
    return list(dict.fromkeys(_header(other, axes) for other in alike)) or [own]


def _header(setting: Setting, axes: list[str]) -> Header:
    return tuple(setting[axis] for axis in axes)


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
