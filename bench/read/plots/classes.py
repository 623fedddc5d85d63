"""What a victim takes each class for."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.engine.judge import best_renaming
from bench.read.plots.chance_lines import CHANCE
from bench.read.plots.frame import SCREEN, Sheet, canvas, finish
from bench.read.plots.style import CHANCE_LOOK, REFERENCE_LOOKS, looks, theme

_ANNOTATED = 10
_NAMED = 18  # classes: of more only some are named


@dataclass(frozen=True)
class Judged:
    """Victims of one method on the test set.

    Attributes
    ----------
    label
        What the method is called.
    confusion
        Share of the images of class i (rows) taken for class j (columns), mean over victims, percent, [R, C]: of the
        first R of C classes, those that are judged. NaN for a class without test images.
    half_width
        Of the diagonal, percent, [R]; NaN for n = 1.

    """

    label: str
    confusion: NDArray[np.float64]
    half_width: NDArray[np.float64]


def classes(
    judged: Judged,
    reference: Judged | None,
    names: Sequence[str],
    title: str,
    footnote: str,
    chance: float | None = None,
    sheet: Sheet = SCREEN,
) -> Figure:
    """Draw the accuracy of each class, the confusion matrix, and the matrix after the best renaming of outputs.

    The renaming is the Hungarian assignment of outputs to classes that makes the mean accuracy highest. The reference
    is a mark beside each bar, and `chance`, in percent, a line across. The matrix as trained has the outputs of the
    classes that are judged alone.
    """
    count = len(judged.confusion)
    own = names[:count]
    _, outputs = best_renaming(np.nan_to_num(judged.confusion))
    side = 2.3 if count <= _NAMED else 2.8
    with theme():
        figure, (left, middle, right) = _axes(side, f"{title}: {judged.label}", footnote, sheet)
        _accuracies(left, judged, reference, own, chance)
        top = 20 * max(1, ceil(np.nanmax(judged.confusion) / 20))
        _matrix(middle, judged.confusion[:, :count], top, own, own, f"as trained: {_accuracy(judged.confusion):.1f} %")
        renamed = judged.confusion[:, outputs]
        named = [names[output] for output in outputs]
        rows = [""] * count if sheet.width is None else own
        _matrix(right, renamed, top, rows, named, f"outputs renamed: {_accuracy(renamed):.1f} %")
        middle.set_ylabel("True class")
        bar = figure.colorbar(right.images[0], ax=[middle, right], shrink=0.75, aspect=25, pad=0.02)
        bar.outline.set_visible(False)
        bar.set_label("Share of the true class (%)")
        return finish(figure)


def _axes(side: float, title: str, footnote: str, sheet: Sheet) -> tuple[Figure, Sequence[Axes]]:
    """Return three axes beside each other, or below each other where the sheet has no room for that."""
    width = 2.4 + 2.5 * side
    if sheet.width is None or sheet.width >= 0.75 * width:
        figure = canvas(width, side + 0.9, title, footnote, sheet)
        return figure, figure.subplots(1, 3, width_ratios=[0.75, 1, 1])
    figure = canvas(width, 3 * side + 1.2, title, footnote, sheet)
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.03)  # squares leave labels less room than is reckoned
    return figure, figure.subplots(3, 1, height_ratios=[0.75, 1, 1])


def _accuracy(confusion: NDArray[np.float64]) -> float:
    return float(np.nanmean(confusion.diagonal()))


def _accuracies(
    axes: Axes, judged: Judged, reference: Judged | None, names: Sequence[str], chance: float | None
) -> None:
    look = looks([judged.label])[judged.label]
    places = range(len(names))
    axes.barh(
        places, judged.confusion.diagonal(), 0.7, xerr=judged.half_width, color=look.colour, label=judged.label,
        error_kw={"capsize": 1.5, "elinewidth": 0.8, "ecolor": "0.15"},
    )  # fmt: skip
    if reference is not None:
        axes.errorbar(
            reference.confusion.diagonal(), places, xerr=reference.half_width, linestyle="", marker="|", markersize=7,
            color=REFERENCE_LOOKS["none"].colour, elinewidth=0.8, label=reference.label,
        )  # fmt: skip
    if chance is not None:
        look = CHANCE_LOOK
        axes.axvline(chance, color=look.colour, linestyle=look.dashes, linewidth=0.8, zorder=1.5, label=CHANCE)
    axes.set(xlim=(0, 104), xticks=(0, 50, 100), ylim=(len(names) - 0.5, -0.5), xlabel="Class accuracy (%)")
    axes.set_yticks(*_ticks(names))
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    drawn = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    drawn |= {CHANCE: drawn.pop(CHANCE)} if CHANCE in drawn else {}
    axes.legend(
        drawn.values(), drawn, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, borderpad=0, handlelength=1.2
    )


def _matrix(
    axes: Axes, confusion: NDArray[np.float64], top: int, rows: Sequence[str], columns: Sequence[str], title: str
) -> None:
    axes.imshow(confusion, vmin=0, vmax=top, cmap="cividis")
    axes.set_xticks(*_ticks(columns), rotation=90)
    axes.set_yticks(*_ticks(rows))
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_title(title)
    axes.set_xlabel("Output")
    if len(rows) > _ANNOTATED:
        return
    for i, row in enumerate(confusion):
        for j, value in enumerate(row):
            if value > 0.5:
                axes.text(j, i, f"{value:.0f}", ha="center", va="center", color="black" if value > top / 2 else "white")


def _ticks(names: Sequence[str]) -> tuple[list[int], list[str]]:
    places = list(range(0, len(names), 1 + (len(names) - 1) // _NAMED))
    return places, [names[i] for i in places]
