"""What protection is worth its cost."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import nan

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.core.errors import SepbenchError
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
    settings_within,
)
from bench.read.plots.reference_lines import partial, reference_lines
from bench.read.plots.style import (
    MUTED,
    REFERENCE_LOOKS,
    Look,
    looks,
    theme,
)
from bench.read.tables import Table, TableCell
from bench.record.values import value_of
from bench.spec.names import REFERENCES, differing

Method = tuple[str, str]

FRONT = "_best within a cost"
"""What the line of the front is called; matplotlib leaves such names out of legends."""

_LABEL = 0.16  # inches of a label beside the axes
_NAMED = 6
"""Missing ones that the footnote names."""
_LABELLED = 12
"""Points that are all told apart by words; of more only those on the front are."""

# How far left of the smallest cost 0 stands: at least so many times, and so large a share of all decades.
_ROOM, _SHARE = 2.0, 0.3


def passes(
    table: Table,
    spent: Mapping[Method, float],
    title: str = "",
    chances: Chances | None = None,
    sheet: Sheet = SCREEN,
) -> Figure:
    """Draw the table's value against the passes that crafting takes, a point per method setting.

    Of several contexts the one with most different costs is drawn, `ENOUGH` at least, and of several the first: what
    others add is told by the table. A step behind the points is the Pareto front: the best value that any setting
    reaches within a cost. A line joins the settings of a method that differ in one parameter.

    Parameters
    ----------
    table
        Error bars are the half-widths of its cells.
    spent
        By (method, method_params) of the cells, forward+backward passes over the training set. What takes none stands
        at a place of its own left of the logarithmic axis, and references are levels across. A setting without passes
        or value has no place: it is named below as missing.
    title
        By default the experiment's name.
    chances
        Levels to mark by data set.
    sheet
        What is drawn on.

    Raises
    ------
    SepbenchError
        No context has methods of enough different costs.

    """
    every, chances = panels(table), chances or {}
    panel = max(every, key=lambda one: len(set(_costs(one, spent))))
    cells = panel.cells
    if len(set(_costs(panel, spent))) < ENOUGH:
        raise SepbenchError(
            f"{table.experiment} has no {ENOUGH} finished methods side by side whose crafting passes differ: there is "
            f"no curve to draw its value on"
        )
    names, better = method_labels(cells), value_of(table.value).better
    fields, settings = settings_within(cells)
    placed = [cell for cell in cells if _place(cell, spent) is not None]
    rivals = [cell for cell in placed if cell.method not in REFERENCES]
    known = looks(cell.method for cell in placed if cell.method not in REFERENCE_LOOKS)
    footnote = table_footnote(table)
    if len(every) > 1:
        footnote += " Of budgets, victims and defenses those are drawn that most methods have; the table has all."
    if better is not None:
        footnote += " Grey step: the best within a cost."
    if fields:
        where = "points" if len(rivals) <= _LABELLED else "points on the step"
        footnote += f" Beside {where}: {', '.join(fields)}."
    absent = [names[cell.method, cell.method_params] for cell in cells if _place(cell, spent) is None]
    if absent:
        more = f"; and {len(absent) - _NAMED} more" if len(absent) > _NAMED else ""
        footnote += f" Missing: {'; '.join(absent[:_NAMED])}{more}."
    with theme():
        height = max(2.7, _LABEL * (len(set(known)) + len(REFERENCES) + 2))
        figure, (axes,) = panel_canvas(1, height, title or table.experiment, footnote, sheet)
        axes.set(title=panel.title, xlabel="Crafting passes over the training set", ylabel=value_title(table.value))
        chance = chance_level(chances, cells)
        if is_percent(table.value):
            spread_over(axes, rivals, placed, chance)
        _draw(figure, axes, panel, spent, settings, known, better, chance)
        return finish(figure)


def _draw(
    figure: Figure,
    axes: Axes,
    panel: Panel,
    spent: Mapping[Method, float],
    settings: Mapping[Method, str],
    known: Mapping[str, Look],
    better: str | None,
    chance: float | None,
) -> None:
    points: defaultdict[str, list[tuple[float, TableCell]]] = defaultdict(list)
    levels = []
    for cell in panel.cells:
        place = _place(cell, spent)
        if cell.method in REFERENCES and place is not None:
            levels.append((cell.method, cell))
        elif place is not None:
            points[cell.method].append((place, cell))
    free = _place_axis(axes, sorted({place for found in points.values() for place, _ in found}))
    reached = [(place, cell.mean or 0) for found in points.values() for place, cell in found]
    front = pareto_front(reached, better)
    if front:
        costs, best = zip(*front, (max(reached)[0], front[-1][1]), strict=True)
        at = [cost or free for cost in costs]
        axes.step(at, best, where="post", color=MUTED, linewidth=4, alpha=0.3, zorder=0, label=FRONT)
    beside, notes = [], []
    for method, found in points.items():
        found.sort(key=lambda one: one[0])
        look = REFERENCE_LOOKS.get(method) or known[method]
        if _varying(cell for _, cell in found) > 1:
            look = replace(look, dashes="none")  # a line from one to the next would follow no parameter
        axes.errorbar(
            [place or free for place, _ in found],
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
        alone = partial(found[0][1]) if len(found) == 1 else ""
        beside.append(Label(f"{method} ({alone})" if alone else method, 0, found[-1][1].mean or 0, look))
        for place, cell in found:
            text = " · ".join(filter(None, (settings[method, cell.method_params], "" if alone else partial(cell))))
            if text and (len(reached) <= _LABELLED or (place, cell.mean) in front):
                notes.append(Label(text, place or free, cell.mean or 0, look))
    label_right(figure, axes, [*beside, *reference_lines(axes, levels, known), *mark_chance(axes, chance)])
    label_points(figure, axes, notes)


def _varying(cells: Iterable[TableCell]) -> int:
    """Return how many parameters differ between settings of a method."""
    params = [json.loads(cell.method_params) for cell in cells]
    return len({name for own in params for name in differing(own, params)})


def pareto_front(points: Sequence[tuple[float, float]], better: str | None) -> list[tuple[float, float]]:
    """Return those points, cost and value, to which no other of the same cost or less is better, by their costs.

    There are none where neither end of the values is better.
    """
    if better is None:
        return []
    sign, front = 1 if better == "lowest" else -1, list[tuple[float, float]]()
    for cost, value in sorted(points, key=lambda point: (point[0], sign * point[1])):
        if not front or sign * value < sign * front[-1][1]:
            front.append((cost, value))
    return front


def _place_axis(axes: Axes, places: Sequence[float]) -> float:
    """Place ascending costs, 0 as well where there is one, and return where that stands on the logarithmic axis."""
    positive = [place for place in places if place > 0]
    free: float = positive[0] / max(_ROOM, (positive[-1] / positive[0]) ** _SHARE)
    place_axis(axes, positive if len(positive) == len(places) else [free, *positive], base=10)
    if len(positive) < len(places):
        axes.set_xticks(axes.get_xticks(), ["0", *(text.get_text() for text in axes.get_xticklabels()[1:])])
        axes.axvline((free * positive[0]) ** 0.5, color=MUTED, linestyle=":", linewidth=0.6)
    return free


def _costs(panel: Panel, spent: Mapping[Method, float]) -> list[float]:
    """Return what the methods of a panel cost; references are not asked what they protect for."""
    places = [_place(cell, spent) for cell in panel.cells if cell.method not in REFERENCES]
    return [place for place in places if place is not None]


def _place(cell: TableCell, spent: Mapping[Method, float]) -> float | None:
    """Return where the cell stands: a cell without a value stands nowhere."""
    return None if cell.mean is None else spent.get((cell.method, cell.method_params))
