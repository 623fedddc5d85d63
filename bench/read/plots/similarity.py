"""How alike the gradients of networks are."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.read.diagnostics import Similarity
from bench.read.plots.frame import SCREEN, Sheet, canvas, finish
from bench.read.plots.style import theme

_ANNOTATED = 12  # networks: numbers of more would touch


def similarity_heatmap(similarity: Similarity) -> Figure:
    """Return the matrix of cosine similarities between networks' input gradients."""
    return similarity_heatmaps([similarity], "", "Mean over training images of the cosine of input gradients.")


def similarity_heatmaps(similarities: Sequence[Similarity], title: str, footnote: str, sheet: Sheet = SCREEN) -> Figure:
    """Return one matrix for each, side by side, on one scale: from 0 to 1, or from -1 where a cosine is negative."""
    low = 0 if all((value or 0) >= 0 for one in similarities for row in one.cosine for value in row) else -1
    count = max(len(one.networks) for one in similarities)
    side = max(2.2, 0.31 * min(count, _ANNOTATED) + 0.6)
    with theme():
        figure = canvas(1.2 + side * len(similarities), side + 0.8, title or similarities[0].what, footnote, sheet)
        grid = figure.subplots(1, len(similarities), squeeze=False)[0]
        for axes, one in zip(grid, similarities, strict=True):
            _draw(axes, one, low)
        bar = figure.colorbar(grid[-1].images[0], ax=list(grid), shrink=0.8, aspect=25, pad=0.02)
        bar.outline.set_visible(False)
        bar.set_label("Mean cosine similarity")
        return finish(figure)


def _draw(axes: Axes, similarity: Similarity, low: float) -> None:
    # Ascending in lightness: the order of values survives a greyscale print.
    axes.imshow(np.array(similarity.cosine, dtype=np.float64), vmin=low, vmax=1, cmap="cividis")
    places = range(0, len(similarity.networks), 1 + len(similarity.networks) // 31)
    names = [similarity.networks[i] for i in places]
    axes.set_xticks(places, names, rotation=90)
    axes.set_yticks(places, names)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_title(similarity.what)
    if len(similarity.networks) > _ANNOTATED:
        return
    middle = (1 + low) / 2
    for i, row in enumerate(similarity.cosine):
        for j, value in enumerate(row):
            if value is not None:
                axes.text(j, i, f"{value:.2f}", ha="center", va="center", color="black" if value > middle else "white")
