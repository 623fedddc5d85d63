"""How victims learn, epoch by epoch."""

from collections.abc import Mapping
from itertools import product
from math import ceil

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.core.errors import SepbenchError
from bench.read.plots.chance_lines import mark_chance
from bench.read.plots.frame import (
    SCREEN,
    Sheet,
    canvas,
    finish,
    percent_limits,
    value_title,
)
from bench.read.plots.style import REFERENCE_LOOKS, looks, theme

MEASURES = ("test_acc", "train_acc")
_PANEL = 2.6  # inches


def curves(
    frame: pd.DataFrame, title: str, footnote: str, chances: Mapping[str, float] | None = None, sheet: Sheet = SCREEN
) -> Figure:
    """Draw accuracies by epoch: a line per method, bands of the half-width; test above training, a column per panel.

    One legend names the lines of all panels, which have no room for names where lines end at one place.

    Parameters
    ----------
    frame
        A row per point, with `panel` (what tells panels apart), `method` and `label` (its name with parameters),
        `note` (how many of its runs are in the mean where not all are, else empty), `measure` (`test_acc` or
        `train_acc`), `epoch` (from 1), `mean` (percent) and `half_width` (NaN for n = 1).
    title, footnote
        What stands around the panels.
    chances
        What guessing gets right on test images, in percent, by panel.
    sheet
        What is drawn on.

    Raises
    ------
    SepbenchError
        There are no rows.

    """
    if frame.empty:
        raise SepbenchError("there are no training curves to draw: run the experiment first")
    shown, chances = list(dict.fromkeys(frame["panel"])), chances or {}
    beside = sheet.beside(_PANEL, len(shown))
    rows = len(MEASURES) * ceil(len(shown) / beside)
    names = _names(frame)
    with theme():
        figure = canvas(0.5 + _PANEL * beside + 1.3, 0.7 + 1.7 * rows, title, footnote, sheet)
        grid = figure.subplots(rows, beside, squeeze=False, sharex=True)
        for row, column in product(range(rows), range(beside)):
            index, axes = row // len(MEASURES) * beside + column, grid[row, column]
            if index >= len(shown):
                axes.remove()
                continue
            panel, measure = shown[index], MEASURES[row % len(MEASURES)]
            part = frame[(frame["panel"] == panel) & (frame["measure"] == measure)]
            axes.set_title(panel if measure == MEASURES[0] else "")
            axes.set_ylabel(value_title(measure) if column == 0 else "")
            axes.set_xlabel("Epoch" if measure == MEASURES[-1] else "")
            axes.tick_params(labelbottom=measure == MEASURES[-1])
            _draw(axes, part, frame)
            if measure == MEASURES[0]:
                mark_chance(axes, chances.get(panel))
        _legend(figure, grid[0, -1], names, sheet)
        return finish(figure)


def _names(frame: pd.DataFrame) -> dict[str, str]:
    """Return what the legend calls each line: with the runs in its mean where no panel has all of them."""
    notes = frame.groupby("label", sort=False)["note"].unique()
    return {
        str(label): f"{label} ({found[0]})" if len(found) == 1 and found[0] else str(label)
        for label, found in notes.items()
    }


def _draw(axes: Axes, part: pd.DataFrame, frame: pd.DataFrame) -> None:
    methods = dict(zip(frame["label"], frame["method"], strict=True))
    known = looks(label for label, method in methods.items() if method not in REFERENCE_LOOKS)
    percent_limits(axes, float(frame["mean"].max()))
    for label, points in part.groupby("label", sort=False):
        name = str(label)
        look = REFERENCE_LOOKS.get(methods[name]) or known[name]
        points = points.sort_values("epoch")
        x, y = points["epoch"].to_numpy(), points["mean"].to_numpy()
        half = points["half_width"].to_numpy()
        axes.plot(
            x,
            y,
            color=look.colour,
            linestyle=look.dashes,
            marker=look.marker,
            markevery=max(1, len(x) // 6),
            label=name,
            zorder=3,
        )
        # All bands lie below all lines.
        axes.fill_between(x, y - half, y + half, facecolor=look.colour, alpha=0.07, linewidth=0, zorder=1)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))


def _legend(figure: Figure, corner: Axes, names: Mapping[str, str], sheet: Sheet) -> None:
    handles = {
        label: handle for axes in figure.axes for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    texts = [names.get(label, label) for label in handles]
    if sheet.width is None:
        corner.legend(handles.values(), texts, loc="upper left", bbox_to_anchor=(1, 1))
    else:
        columns = max(1, int(sheet.width / (0.5 + 0.07 * max(map(len, texts)))))
        figure.legend(handles.values(), texts, loc="outside lower center", ncols=columns, columnspacing=1)
