"""The table as bars."""

from collections.abc import Sequence
from itertools import accumulate
from math import nan

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.errors import SepbenchError
from bench.plots.frame import canvas, finish, is_percent, percent_limits, table_footnote, top_of, value_title
from bench.plots.panels import planned, telling_apart
from bench.plots.reference_lines import partial
from bench.plots.style import MUTED, REFERENCES, Look, looks, theme
from bench.tables import Cell, Table

_BAR = 0.16  # inches
_BETWEEN = 0.7  # bars
_LEGEND = 40  # letters, of about the width of the axes
_REFERENCE = Look("0.8", "", "-", "")


def bars(table: Table, title: str = "") -> Figure:
    """Draw a table: its rows as groups from top to bottom, its columns as the bars of a group, with half-widths.

    A budget-free reference is grey and stands once for all budgets; where there is one alone, as of one defense, it is
    also a line across. A missing cell is a gap that says so; a cell that the experiment lacks takes no room.

    Raises `SepbenchError` where no cell has a value.
    """
    cells = planned(table)
    if all(cell.mean is None for cell in cells):
        raise SepbenchError(f"no finished run of {table.experiment} has a value of {table.value}: nothing to draw")
    names = [" · ".join(header) or value_title(table.value) for header in table.columns]
    known = looks(names)
    references = [cell for cell in cells if cell.norm is None]
    slots = [_slots(row, names) for row in table.cells]
    # Heights are in bars, from the top; between groups there is more room than between bars.
    starts = list(accumulate((len(group) + _BETWEEN for group in slots), initial=0.0))
    with theme():
        height = 0.8 + _BAR * starts[-1]
        figure = canvas(5.0, height, title or table.experiment, table_footnote(table))
        axes = figure.subplots()
        axes.set(xlabel=value_title(table.value), ylim=(starts[-1] - _BETWEEN / 2, -_BETWEEN / 2))
        if is_percent(table.value):
            percent_limits(axes, top_of(cells), "x")
        placed = [
            (start + i + 0.5, name, cell)
            for start, group in zip(starts, slots, strict=False)
            for i, (name, cell) in enumerate(group)
        ]
        for name, look in [(None, _REFERENCE), *known.items()]:
            own = [(y, cell) for y, column, cell in placed if column == name]
            if own:
                _bars(axes, own, look, "_reference" if name is None else name)
        apart = telling_apart(references)
        for y, _, cell in placed:
            _note(axes, y, cell, apart.get(cell, ""))
        if len(references) == 1 and references[0].mean is not None:
            look = REFERENCES["none"]
            axes.axvline(references[0].mean, color=look.colour, linestyle=look.dashes, linewidth=0.8, zorder=0.9)
        middles = [start + len(group) / 2 for start, group in zip(starts, slots, strict=False)]
        axes.set_yticks(middles, [" · ".join(header) for header in table.rows])
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        if len(names) > 1:
            beside = max(1, min(3, _LEGEND // (5 + max(map(len, names)))))
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=beside, borderaxespad=0.2, borderpad=0.2)
        return finish(figure)


def _slots(row: Sequence[Cell], names: Sequence[str]) -> list[tuple[str | None, Cell]]:
    """Return the bars of a group, each with its column; a reference belongs to none."""
    reference: list[tuple[str | None, Cell]] = [
        (None, cell) for cell in dict.fromkeys(row) if cell.norm is None and cell.runs
    ]
    return reference or [(name, cell) for name, cell in zip(names, row, strict=True) if cell.runs]


def _bars(axes: Axes, placed: Sequence[tuple[float, Cell]], look: Look, label: str) -> None:
    axes.barh(
        [y for y, _ in placed],
        [nan if cell.mean is None else cell.mean for _, cell in placed],
        0.9,
        xerr=[nan if cell.half_width is None else cell.half_width for _, cell in placed],
        color=look.colour,
        hatch=look.hatch,
        edgecolor="white",
        linewidth=0,
        error_kw={"capsize": 2, "elinewidth": 0.8, "ecolor": "0.15"},
        label=label,
    )


def _note(axes: Axes, y: float, cell: Cell, name: str) -> None:
    """Write beside a bar what it does not say itself."""
    words = [name, partial(cell) if cell.mean is not None else "missing"]
    axes.annotate(
        " · ".join(filter(None, words)),
        ((cell.mean or 0) + (cell.half_width or 0), y),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        color=MUTED,
        style="italic",
    )
