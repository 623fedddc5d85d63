"""The table as bars."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from math import ceil, nan

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.core.errors import SepbenchError
from bench.read.plots.chance_lines import CHANCE, Chances, chance_level
from bench.read.plots.frame import (
    SCREEN,
    Sheet,
    canvas,
    finish,
    is_percent,
    percent_limits,
    table_footnote,
    top_of,
    value_title,
    wrapped,
)
from bench.read.plots.panels import baseline_labels, planned
from bench.read.plots.reference_lines import partial
from bench.read.plots.style import (
    CHANCE_LOOK,
    MUTED,
    REFERENCE_LOOKS,
    Look,
    looks,
    theme,
)
from bench.read.tables import Table, TableCell
from bench.read.tables.unmeasured import measured_rows, row_name

_BAR = 0.16  # inches
_BETWEEN = 0.7  # bars
_MANY = 45  # bars: more below each other are hard to compare
_LEGEND = 40  # letters, of about the width of the axes
_LETTER = 0.065  # inches
_LINE = 26  # letters of a row's name
_NARROW = 0.75  # inches of a facet on a paper
_REFERENCE = Look("0.8", "", "-", "")

Slots = list[tuple[str | None, TableCell]]
"""The bars of a group from top to bottom, each with its column; None is a reference that belongs to no column."""


@dataclass(frozen=True)
class _Facet:
    """Columns that share one pair of axes: all of a table, those with one label on its outermost axis, or one alone."""

    title: str
    groups: list[Slots]

    @property
    def cells(self) -> list[TableCell]:
        return [cell for group in self.groups for _, cell in group]

    @property
    def references(self) -> list[TableCell]:
        return [cell for group in self.groups for name, cell in group if name is None]


def bars(table: Table, title: str = "", chances: Chances | None = None, sheet: Sheet = SCREEN) -> Figure:
    """Draw a table: its rows as groups from top to bottom, its columns as the bars of a group, with half-widths.

    Where columns have labels on several axes, the outermost makes facets beside each other; of very many bars each
    column makes one. A budget-free reference is grey and stands once for all budgets of a facet; where there is one
    alone, as of one defense, it is also a line across. A missing cell is a gap that says so; a row without any number
    is named below, and a cell that the experiment lacks takes no room. `chances` are levels to mark by data set.

    Raises `SepbenchError` where no cell has a value.
    """
    if all(cell.mean is None for cell in planned(table)):
        raise SepbenchError(f"no finished run of {table.experiment} has a value of {table.value}: nothing to draw")
    table, unmeasured = measured_rows(table)
    chances, cells = chances or {}, planned(table)
    facets = _facets(table)
    names = list(dict.fromkeys(name for facet in facets for group in facet.groups for name, _ in group if name))
    known = _looks(names, facets)
    # Heights are in bars, from the top; between groups there is more room than between bars.
    sizes = [max(map(len, groups)) for groups in zip(*(facet.groups for facet in facets), strict=True)]
    starts = list(accumulate((size + _BETWEEN for size in sizes), initial=0.0))
    rows_named = [wrapped(row_name(header), _LINE) for header in table.rows]
    wide = _LETTER * max(len(line) for name in rows_named for line in name.splitlines())
    beside = sheet.beside(_NARROW, len(facets), wide)
    rows = ceil(len(facets) / beside)
    footnote = table_footnote(table)
    if unmeasured:
        footnote += f" Not drawn, as nothing of them is measured: {unmeasured}."
    with theme():
        height = rows * (0.8 + _BAR * starts[-1])
        figure = canvas(2.0 + 3.0 * beside, height, title or table.experiment, footnote, sheet)
        grid = figure.subplots(rows, beside, squeeze=False, sharey=True)
        for axes, facet in zip(grid.flat, facets, strict=False):
            room = 3.0 if sheet.width is None else (sheet.width - wide) / beside
            axes.set(title=wrapped(facet.title, int(room / _LETTER)), ylim=(starts[-1] - _BETWEEN / 2, -_BETWEEN / 2))
            if is_percent(table.value):
                narrow = sheet.width is not None and beside > 1
                percent_limits(axes, top_of(cells), "x", step=40 if narrow else 20)
            _draw(axes, facet, starts, known, chance_level(chances, facet.cells))
            axes.set_yticks([start + size / 2 for start, size in zip(starts, sizes, strict=False)], rows_named)
            axes.tick_params(axis="y", length=0)
            axes.grid(visible=False, axis="y")
        if sheet.width is not None and beside > 1:
            figure.supxlabel(value_title(table.value), fontsize=8)
        else:
            for axes in list(grid.flat)[max(0, len(facets) - beside) : len(facets)]:
                axes.set_xlabel(value_title(table.value))
        for unused in grid.flat[len(facets) :]:
            unused.remove()
        _legend(figure, names if len(names) > 1 else [], sheet)
        return finish(figure)


def _facets(table: Table) -> list[_Facet]:
    several = len(table.column_axes) > 1
    widest = max(Counter(header[0] if several else "" for header in table.columns).values())
    if widest > 1 and len(table.cells) * widest > _MANY:
        titles = [" · ".join(header) for header in table.columns]
        names = [value_title(table.value)] * len(titles)
    else:
        titles = [header[0] if several else "" for header in table.columns]
        names = [" · ".join(header[several:]) or value_title(table.value) for header in table.columns]
    by_title: dict[str, list[int]] = {}
    for index, title in enumerate(titles):
        by_title.setdefault(title, []).append(index)
    methods_are_columns = "method" in table.column_axes
    return [
        _Facet(title, [_slots([(names[i], row[i]) for i in indices], methods_are_columns) for row in table.cells])
        for title, indices in by_title.items()
    ]


def _slots(row: Sequence[tuple[str, TableCell]], methods_are_columns: bool) -> Slots:
    there = [(name, cell) for name, cell in row if cell.runs]
    if methods_are_columns:
        return list(there)
    reference: Slots = [(None, cell) for cell in dict.fromkeys(cell for _, cell in there) if cell.norm is None]
    return reference or list(there)


def _looks(names: Sequence[str], facets: Sequence[_Facet]) -> dict[str, Look]:
    """Return a look for each column; those of references alone are grey."""
    placed = list(chain.from_iterable(group for facet in facets for group in facet.groups))
    grey = [name for name in names if all(cell.norm is None for column, cell in placed if column == name)]
    return looks(name for name in names if name not in grey) | dict.fromkeys(grey, _REFERENCE)


def _legend(figure: Figure, names: Sequence[str], sheet: Sheet) -> None:
    """Write above the first facet what bars and lines of any facet are."""
    handles = {
        label: handle for axes in figure.axes for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    shown = [name for name in (*names, CHANCE) if name in handles]
    if not shown:
        return
    longest = 5 + max(map(len, shown))
    if sheet.width is not None:
        columns = max(1, int(sheet.width / _LETTER / longest))
        figure.legend([handles[name] for name in shown], shown, loc="outside upper center", ncols=columns)
        return
    first = figure.axes[0]
    above = 2.2 if first.get_title() else 0.2  # letters
    first.legend(
        [handles[name] for name in shown],
        shown,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=max(1, min(3, _LEGEND // longest)),
        borderaxespad=above,
        borderpad=0.2,
    )


def _draw(axes: Axes, facet: _Facet, starts: Sequence[float], known: dict[str, Look], chance: float | None) -> None:
    placed = [
        (start + i + 0.5, name, cell)
        for start, group in zip(starts, facet.groups, strict=False)
        for i, (name, cell) in enumerate(group)
    ]
    for name, look in [(None, _REFERENCE), *known.items()]:
        own = [(y, cell) for y, column, cell in placed if column == name]
        if own:
            _bars(axes, own, look, "_reference" if name is None else name)
    references = facet.references
    labels = baseline_labels(references)
    for y, _, cell in placed:
        _note(axes, y, cell, labels.get(cell, ""))
    if len(references) == 1 and references[0].mean is not None:
        look = REFERENCE_LOOKS["none"]
        axes.axvline(references[0].mean, color=look.colour, linestyle=look.dashes, linewidth=0.8, zorder=0.9)
    if chance is not None:
        look = CHANCE_LOOK
        axes.axvline(chance, color=look.colour, linestyle=look.dashes, linewidth=0.8, zorder=1.5, label=CHANCE)


def _bars(axes: Axes, placed: Sequence[tuple[float, TableCell]], look: Look, label: str) -> None:
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


def _note(axes: Axes, y: float, cell: TableCell, name: str) -> None:
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
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8},
    )
