"""What protection is worth its cost."""

from collections import defaultdict
from collections.abc import Mapping
from math import nan

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.core.errors import SepbenchError
from bench.read.plots.frame import (
    finish,
    is_percent,
    panel_canvas,
    percent_limits,
    place_axis,
    table_footnote,
    top_of,
    value_title,
)
from bench.read.plots.labels import Label, label_points, label_right
from bench.read.plots.panels import (
    Panel,
    full_name,
    method_labels,
    panels,
    planned,
    settings_within,
)
from bench.read.plots.reference_lines import partial, reference_lines
from bench.read.plots.style import (
    REFERENCE_LOOKS,
    Look,
    looks,
    theme,
)
from bench.read.tables import Table, TableCell

Method = tuple[str, str]


def passes(table: Table, spent: Mapping[Method, float], title: str = "") -> Figure:
    """Draw the table's value against the passes that crafting takes, a point per method setting, a panel per context.

    Parameters
    ----------
    table
        Error bars are the half-widths of its cells.
    spent
        By (method, method_params) of the cells, forward+backward passes over the training set. What takes none is a
        level across. A setting without passes or value has no place: it is named below as missing.
    title
        By default the experiment's name.

    Raises
    ------
    SepbenchError
        No method with a value takes passes.

    """
    cells = planned(table)
    if not any((_place(cell, spent) or 0) > 0 for cell in cells):
        raise SepbenchError(f"no finished run of {table.experiment} has crafting passes to draw its value against")
    names = method_labels(cells)
    fields, settings = settings_within(cells)
    known = looks(cell.method for cell in cells if cell.method not in REFERENCE_LOOKS)
    shown = [panel for panel in panels(table) if any((_place(cell, spent) or 0) > 0 for cell in panel.cells)]
    footnote = table_footnote(table)
    if fields:
        footnote += f" Beside points: {', '.join(fields)}."
    absent = [
        full_name(names[cell.method, cell.method_params], panel)
        for panel in shown
        for cell in panel.cells
        if _place(cell, spent) is None
    ]
    if absent:
        footnote += f" Missing: {'; '.join(absent)}."
    with theme():
        figure, grid = panel_canvas(len(shown), 2.7, title or table.experiment, footnote)
        for axes, panel in zip(grid, shown, strict=True):
            axes.set(title=panel.title, xlabel="Crafting passes over the training set", ylabel=value_title(table.value))
            if is_percent(table.value):
                percent_limits(axes, top_of(cells))
            _draw(figure, axes, panel, spent, settings, known)
        return finish(figure)


def _draw(
    figure: Figure,
    axes: Axes,
    panel: Panel,
    spent: Mapping[Method, float],
    settings: Mapping[Method, str],
    known: Mapping[str, Look],
) -> None:
    points: defaultdict[str, list[tuple[float, TableCell]]] = defaultdict(list)
    levels = []
    for cell in panel.cells:
        place = _place(cell, spent)
        if place == 0:
            levels.append((cell.method, cell))
        elif place is not None:
            points[cell.method].append((place, cell))
    place_axis(axes, sorted({place for found in points.values() for place, _ in found}), base=10)
    beside, notes = [], []
    for method, found in points.items():
        found.sort(key=lambda one: one[0])
        look = REFERENCE_LOOKS.get(method) or known[method]
        axes.errorbar(
            [place for place, _ in found],
            [nan if cell.mean is None else cell.mean for _, cell in found],
            yerr=[nan if cell.half_width is None else cell.half_width for _, cell in found],
            color=look.colour,
            marker=look.marker,
            linestyle=look.dashes,
            linewidth=0.6,
            capsize=2,
            elinewidth=0.8,
            label=method,
        )
        beside.append(Label(method, 0, found[-1][1].mean or 0, look))
        for place, cell in found:
            text = " · ".join(filter(None, (settings[method, cell.method_params], partial(cell))))
            if text:
                notes.append(Label(text, place, cell.mean or 0, look))
    label_right(figure, axes, [*beside, *reference_lines(axes, levels, known)])
    label_points(figure, axes, notes)


def _place(cell: TableCell, spent: Mapping[Method, float]) -> float | None:
    """Return where the cell stands: a cell without a value stands nowhere."""
    return None if cell.mean is None else spent.get((cell.method, cell.method_params))
