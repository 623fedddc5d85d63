"""A value against a parameter of the methods."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import nan

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from bench.core.errors import SepbenchError
from bench.core.keys import canonical
from bench.read.plots.broken_axis import spread_over
from bench.read.plots.chance_lines import Chances, chance_level, mark_chance
from bench.read.plots.frame import (
    SCREEN,
    Sheet,
    finish,
    is_percent,
    panel_canvas,
    place_axis,
    table_footnote,
    value_title,
)
from bench.read.plots.labels import Label, label_points, label_right
from bench.read.plots.panels import (
    ENOUGH,
    Panel,
    method_labels,
    panels,
    planned,
)
from bench.read.plots.reference_lines import partial, reference_lines
from bench.read.plots.style import (
    REFERENCE_LOOKS,
    Look,
    looks,
    theme,
)
from bench.read.tables import Table, TableCell

_LOG_FROM = 8  # the ratio of the largest to the smallest value
_OFFSET = 3.5  # points between the markers of two methods at one place


def ablation(table: Table, title: str = "", chances: Chances | None = None, sheet: Sheet = SCREEN) -> Figure:
    """Draw the table's value against the numeric parameter that varies most, a line per method, a panel per context.

    Error bars are the cells' half-widths. Methods without the parameter are levels across, with a band, and so is what
    guessing reaches, by data set in `chances`. The axis spreads over the lines: where a level is far from them it is
    broken. A missing cell interrupts its line, has a cross on the axis, and is named beside the line as missing.

    Raises `SepbenchError` where no numeric parameter of a method has `ENOUGH` values: fewer are told by the table.
    """
    chances, cells = chances or {}, planned(table)
    parameter = varying_parameter(cells)
    if parameter is None:
        raise SepbenchError(
            f"no numeric parameter of a method has {ENOUGH} values in {table.experiment}: give one several, such as "
            f"{{sep: {{checkpoints: [1, 3, 5]}}}}"
        )
    names = method_labels(cells, without=parameter)
    known = looks(names[one.method, one.method_params] for one in cells if one.method not in REFERENCE_LOOKS)
    shown = [panel for panel in panels(table) if any(_at(cell, parameter) is not None for cell in panel.cells)]
    with theme():
        footnote = table_footnote(table)
        figure, grid = panel_canvas(len(shown), 2.5, title or table.experiment, footnote, sheet)
        for axes, panel in zip(grid, shown, strict=True):
            axes.set_ylabel(value_title(table.value))
            chance = chance_level(chances, panel.cells)
            if is_percent(table.value):
                spread_over(
                    axes, [cell for cell in panel.cells if _at(cell, parameter) is not None], panel.cells, chance
                )
            _draw(figure, axes, panel, parameter, names, known, chance)
        return finish(figure)


def varying_parameter(cells: Sequence[TableCell]) -> str | None:
    """Return the numeric parameter with the most different values within methods; of several the first by name.

    None where no method has `ENOUGH` of any.
    """
    found: defaultdict[str, defaultdict[str, set[float]]] = defaultdict(lambda: defaultdict(set))
    for cell in cells:
        for name, value in json.loads(cell.method_params).items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                found[name][cell.method].add(value)
    counts = {name: max(map(len, by_method.values())) for name, by_method in found.items()}
    best = max(sorted(counts), key=lambda name: counts[name], default=None)
    return best if best is not None and counts[best] >= ENOUGH else None


def _draw(
    figure: Figure,
    axes: Axes,
    panel: Panel,
    parameter: str,
    names: Mapping[tuple[str, str], str],
    known: Mapping[str, Look],
    chance: float | None,
) -> None:
    lines: defaultdict[tuple[str, str], list[tuple[float, TableCell]]] = defaultdict(list)
    levels = []
    for cell in panel.cells:
        label, place = names[cell.method, cell.method_params], _at(cell, parameter)
        if place is None:
            levels.append((label, cell))
        else:
            lines[label, _others(cell, parameter)].append((place, cell))
    axes.set(title=panel.title, xlabel=parameter.replace("_", " ").capitalize())
    places = sorted({place for line in lines.values() for place, _ in line})
    place_axis(axes, places, base=2 if places[0] > 0 and places[-1] / places[0] >= _LOG_FROM else None)

    beside, notes = [], []
    for i, ((label, _), line) in enumerate(lines.items()):
        look = REFERENCE_LOOKS.get(label) or known[label]
        line.sort(key=lambda one: one[0])
        _line(figure, axes, line, look, label, _OFFSET * (i - (len(lines) - 1) / 2))
        gone = ", ".join(f"{place:g}" for place, cell in line if cell.mean is None)
        measured = [cell.mean for _, cell in line if cell.mean is not None]
        text = f"{label} ({gone} missing)" if gone else label
        beside.append(Label(text, 0, measured[-1] if measured else axes.get_ylim()[0], look))
        notes += [Label(partial(cell), place, cell.mean or 0, look) for place, cell in line if partial(cell)]
    label_right(figure, axes, [*beside, *reference_lines(axes, levels, known), *mark_chance(axes, chance)])
    label_points(figure, axes, notes)


def _line(
    figure: Figure, axes: Axes, line: Sequence[tuple[float, TableCell]], look: Look, label: str, shift: float
) -> None:
    """Draw one method, `shift` points to the right: intervals of several methods at one place stand side by side."""
    beside = ScaledTranslation(shift / 72, 0, figure.dpi_scale_trans)
    axes.errorbar(
        [place for place, _ in line],
        [nan if cell.mean is None else cell.mean for _, cell in line],
        yerr=[nan if cell.half_width is None else cell.half_width for _, cell in line],
        color=look.colour,
        marker=look.marker,
        linestyle=look.dashes,
        capsize=2,
        elinewidth=0.8,
        label=label,
        transform=axes.transData + beside,
    )
    missing = [place for place, cell in line if cell.mean is None]
    if missing:
        axes.plot(
            missing,
            [0.0] * len(missing),
            color=look.colour,
            marker="x",
            markersize=6,
            linestyle="",
            label=f"_missing {label}",
            clip_on=False,
            transform=axes.get_xaxis_transform() + beside,
        )


def _at(cell: TableCell, parameter: str) -> float | None:
    value = json.loads(cell.method_params).get(parameter)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _others(cell: TableCell, parameter: str) -> str:
    return canonical({name: value for name, value in json.loads(cell.method_params).items() if name != parameter})
