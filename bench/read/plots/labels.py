"""Words beside what they name, none over another."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import inf

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.offsetbox import AnnotationBbox, DrawingArea, HPacker, TextArea
from matplotlib.transforms import Bbox

from bench.read.plots.style import Look

_LINE_HEIGHT = 10.5  # points, of 8 pt text
_PLACES = (
    (6, 6, "left"),
    (6, -6, "left"),
    (-6, 6, "right"),
    (-6, -6, "right"),
    (0, 9, "center"),
    (0, -9, "center"),
    (8, 0, "left"),
    (-8, 0, "right"),
)
_STEPS = (1, 1.5, 2.2)


@dataclass(frozen=True)
class Label:
    """A text for what is drawn at (x, y), in the look of that."""

    text: str
    x: float
    y: float
    look: Look


def label_right(figure: Figure, axes: Axes, labels: Sequence[Label]) -> None:
    """Write labels to the right of the axes, each at its y with a sample of its line, moved apart where they touch."""
    ordered = sorted(labels, key=lambda one: (one.y, one.text))
    boxes = [
        AnnotationBbox(
            HPacker(children=[_sample(label.look), TextArea(label.text)], align="center", pad=0, sep=4),
            (1, label.y),
            xycoords=("axes fraction", "data"),
            xybox=(5, 0),
            boxcoords="offset points",
            box_alignment=(0, 0.5),
            frameon=False,
            pad=0,
            annotation_clip=False,
        )
        for label in ordered
    ]
    for box in boxes:
        axes.add_artist(box)
    _lay_out(figure)  # only now heights are known
    heights = [axes.transData.transform((0, label.y))[1] * 72 / figure.dpi for label in ordered]
    bottom, top = (end * 72 / figure.dpi for end in axes.get_window_extent().intervaly)
    for box, height, place in zip(boxes, heights, spread(heights, _LINE_HEIGHT, bottom, top), strict=True):
        box.xybox = (5, place - height)


def label_points(figure: Figure, axes: Axes, labels: Sequence[Label]) -> None:
    """Write labels beside their points, where they cover as little of what is drawn as possible."""
    _lay_out(figure)
    taken = _ink(axes)
    inside = axes.get_window_extent()
    for label in labels:
        text = axes.annotate(
            label.text,
            (label.x, label.y),
            xytext=(0, 0),
            textcoords="offset points",
            va="center",
            color=_darker(label.look),
        )
        candidates = []
        for step, (x, y, side) in product(_STEPS, _PLACES):
            text.set(position=(x * step, y * step), ha=side)
            box = text.get_window_extent()
            cost = 100 * (step - 1) + sum(map(box.padded(-1).overlaps, taken)) * 20 + _outside(box, inside)
            candidates.append((cost, (x * step, y * step), side, box))
        _, position, side, box = min(candidates, key=lambda one: one[0])
        text.set(position=position, ha=side)
        taken += [box] * 50  # words over words are read by nobody, words over a line are


def spread(places: Sequence[float], gap: float, low: float = -inf, high: float = inf) -> list[float]:
    """Return ascending places moved as little as possible so that neighbours are at least `gap` apart.

    They stay between `low` and `high` where there is room for all of them.
    """
    groups: list[tuple[float, int]] = []  # the middle of some places next to each other, and how many

    def add(middle: float, count: int) -> None:
        reach = (count - 1) / 2 * gap
        groups.append((max(low + reach, min(middle, high - reach)), count))

    for place in places:
        add(place, 1)
        while len(groups) > 1 and groups[-1][0] - groups[-2][0] < gap * (groups[-1][1] + groups[-2][1]) / 2:
            (upper, above), (lower, below) = groups.pop(), groups.pop()
            add((upper * above + lower * below) / (above + below), above + below)
    return [middle + (i - (count - 1) / 2) * gap for middle, count in groups for i in range(count)]


def _sample(look: Look) -> DrawingArea:
    area = DrawingArea(18, 8)
    area.add_artist(
        Line2D([0, 9, 18], [4, 4, 4], color=look.colour, linestyle=look.dashes, marker=look.marker, markevery=[1])
    )
    return area


def _darker(look: Look) -> tuple[float, float, float]:
    """Return the colour for letters, which are thinner than markers."""
    red, green, blue = to_rgb(look.colour)
    return 0.7 * red, 0.7 * green, 0.7 * blue


def _ink(axes: Axes) -> list[Bbox]:
    """Return small boxes along every line, marker and error bar, in pixels."""
    paths = [line.get_transform().transform_path(line.get_path()) for line in axes.lines]
    for collection in axes.collections:
        if collection.get_paths() and not len(collection.get_facecolor()):
            paths += [collection.get_transform().transform_path(path) for path in collection.get_paths()]
    boxes = []
    for path in paths:
        corners = np.asarray(path.vertices, dtype=np.float64)
        corners = corners[np.isfinite(corners).all(axis=1)]
        for start, end in zip(corners, corners[1:] if len(corners) > 1 else corners, strict=False):
            steps = np.linspace(start, end, 2 + int(np.hypot(*(end - start)) / 4))
            boxes += [Bbox.from_bounds(x - 2, y - 2, 4, 4) for x, y in steps]
    return boxes


def _outside(box: Bbox, frame: Bbox) -> float:
    shared = Bbox.intersection(box, frame)
    return box.width * box.height - (0.0 if shared is None else shared.width * shared.height)


def _lay_out(figure: Figure) -> None:
    """Give axes their places, as drawing does first; all else that drawing does takes as long and moves nothing."""
    engine = figure.get_layout_engine()
    assert engine is not None, "figures are made with a layout engine"
    engine.execute(figure)
