"""What has no place on the horizontal axis: a level to compare with."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from matplotlib.axes import Axes

from bench.read.plots.labels import Label
from bench.read.plots.style import REFERENCE_LOOKS, Look
from bench.read.tables import TableCell
from bench.read.tables.warnings import CLEAN


def reference_lines(axes: Axes, cells: Iterable[tuple[str, TableCell]], known: Mapping[str, Look]) -> list[Label]:
    """Draw each cell as a level across the axes with its interval as a band, and return the labels to write.

    Looks of other than the usual references are `known` by label. A cell without a value is named in a label that says
    so, and not drawn.
    """
    labels = []
    for label, cell in cells:
        look = REFERENCE_LOOKS.get(cell.method) or replace(known[label], marker="")
        if cell.mean is None:
            labels.append(Label(f"{label} (missing)", 0, axes.get_ylim()[0], look))
            continue
        axes.axhline(cell.mean, color=look.colour, linestyle=look.dashes, zorder=1, label=label)
        if cell.half_width is not None:
            low, high = cell.mean - cell.half_width, cell.mean + cell.half_width
            axes.axhspan(low, high, color=look.colour, alpha=0.12, linewidth=0, zorder=0)
        words = ", ".join(filter(None, ["clean" if cell.method == CLEAN else "", partial(cell)]))
        labels.append(Label(f"{label} ({words})" if words else label, 0, cell.mean, look))
    return labels


def partial(cell: TableCell) -> str:
    """Return how many of the runs are in the mean, as `2 of 3`, or nothing where all are."""
    return f"{len(cell.keys)} of {cell.runs}" if 0 < len(cell.keys) < cell.runs else ""
