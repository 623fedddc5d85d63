"""How victims learn, epoch by epoch."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.core.errors import SepbenchError
from bench.read.plots.frame import (
    canvas,
    finish,
    percent_limits,
    value_title,
)
from bench.read.plots.labels import Label, label_right
from bench.read.plots.style import REFERENCE_LOOKS, looks, theme

MEASURES = ("test_acc", "train_acc")
_LABEL = 0.16  # inches of a label beside the axes


def curves(frame: pd.DataFrame, title: str, footnote: str) -> Figure:
    """Draw accuracies by epoch: a line per method, bands of the half-width; test above training, a column per panel.

    Parameters
    ----------
    frame
        A row per point, with `panel` (what tells panels apart), `method` and `label` (its name with parameters),
        `note` (how many of its runs are in the mean where not all are, else empty), `measure` (`test_acc` or
        `train_acc`), `epoch` (from 1), `mean` (percent) and `half_width` (NaN for n = 1).
    title, footnote
        What stands around the panels.

    Raises
    ------
    SepbenchError
        There are no rows.

    """
    if frame.empty:
        raise SepbenchError("there are no training curves to draw: run the experiment first")
    shown = list(dict.fromkeys(frame["panel"]))
    with theme():
        most = max(part["label"].nunique() for _, part in frame.groupby("panel"))
        height = 0.7 + len(MEASURES) * max(1.7, _LABEL * most)
        figure = canvas(0.3 + 3.7 * len(shown), height, title, footnote)
        grid = figure.subplots(len(MEASURES), len(shown), squeeze=False, sharex="col")
        for measure, row in zip(MEASURES, grid, strict=True):
            for panel, axes in zip(shown, row, strict=True):
                part = frame[(frame["panel"] == panel) & (frame["measure"] == measure)]
                axes.set_title(panel if measure == MEASURES[0] else "")
                axes.set_ylabel(value_title(measure))
                _draw(figure, axes, part, frame)
        for axes in grid[-1]:
            axes.set_xlabel("Epoch")
        return finish(figure)


def _draw(figure: Figure, axes: Axes, part: pd.DataFrame, frame: pd.DataFrame) -> None:
    methods = dict(zip(frame["label"], frame["method"], strict=True))
    known = looks(label for label, method in methods.items() if method not in REFERENCE_LOOKS)
    percent_limits(axes, float(frame["mean"].max()))
    labels = []
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
        )
        axes.fill_between(x, y - half, y + half, color=look.colour, alpha=0.12, linewidth=0)
        note = points["note"].iloc[0]
        labels.append(Label(f"{name} ({note})" if note else name, float(x[-1]), float(y[-1]), look))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    label_right(figure, axes, labels)
