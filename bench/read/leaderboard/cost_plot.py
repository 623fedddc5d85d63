"""Protection against cost, drawn into the page: a point for each method that has both."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from bench.read.leaderboard.comparing import Interval
from bench.read.leaderboard.label_places import Box, box_before, place_labels
from bench.read.leaderboard.matrix import Line, Matrix

ENOUGH = 3
"""Different costs that make a plot: fewer are told by the table."""

_WIDTH, _HEIGHT = 560, 330
_INSIDE = Box(40, 14, 552, 284)
_FREE = 56  # of the width, left for what costs nothing

_COSTS = (
    (("craft_passes",), "crafting passes over the training set"),
    (("craft_seconds", "surrogate_seconds"), "seconds of crafting and of training surrogates"),
)


@dataclass(frozen=True)
class _Point:
    name: str
    cost: float
    accuracy: Interval
    weak: bool


@dataclass(frozen=True)
class _Scale:
    """From costs and accuracies to places: costs by decades from 10^`low` to 10^`high`, accuracies up to `top`.

    What costs nothing has a place of its own left of the decades, which begin at `start`.
    """

    low: int
    high: int
    top: int
    start: float

    def across(self, cost: float) -> float:
        if not cost:
            return _INSIDE.left + _FREE / 3.5
        return self.start + (math.log10(cost) - self.low) / (self.high - self.low) * (_INSIDE.right - self.start)

    def up(self, accuracy: float) -> float:
        share = min(max(accuracy, 0), self.top) / self.top
        return _INSIDE.bottom - share * (_INSIDE.bottom - _INSIDE.top)


def cost_plots(matrix: Matrix) -> list[str]:
    """Return the plots against passes and against seconds, as far as there is enough for them."""
    over = "mean over the defenses" if len(matrix.defenses) > 1 else matrix.defenses[0]
    drawn = [_plot(_points(matrix, fields), _levels(matrix), cost, over) for fields, cost in _COSTS]
    return ['<div class="plots">', *filter(None, drawn), "</div>"] if any(drawn) else []


def _points(matrix: Matrix, fields: Sequence[str]) -> list[_Point]:
    found = []
    for line in matrix.lines:
        accuracy, (spent, *more) = _accuracy(line), [line.costs.get(field) for field in fields]
        if line.reference is None and accuracy is not None and spent is not None:
            found.append(
                _Point(line.method, math.fsum([spent, *(one or 0.0 for one in more)]), accuracy, bool(line.weak))
            )
    return found


def _accuracy(line: Line) -> Interval | None:
    return line.mean or line.worst  # which are the same under one defense


def _levels(matrix: Matrix) -> dict[str, float]:
    """Return what points are compared with: what there is to lose, and what guessing reaches."""
    found = [_accuracy(line) for line in matrix.lines if line.reference == "clean"]
    clean = found[0].mean if found and found[0] is not None else None
    levels = {"clean images": clean, "guessing": matrix.chance}
    return {name: level for name, level in levels.items() if level is not None}


def _plot(points: Sequence[_Point], levels: Mapping[str, float], cost: str, over: str) -> str | None:
    if len({point.cost for point in points}) < ENOUGH:
        return None
    ends = [0.0, *levels.values(), *(point.accuracy.high or point.accuracy.mean for point in points)]
    positive = [point.cost for point in points if point.cost > 0]
    low, high = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
    free = _FREE if len(positive) < len(points) else 0
    scale = _Scale(low, max(high, low + 1), 20 * min(5, math.ceil(max(ends) / 20)), _INSIDE.left + free)
    said = escape(f"Accuracy (%), {over}, against {cost}")
    parts = [
        f'<figure><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{said}">',
        *_axes(scale, bool(free)),
        *(mark for name, level in levels.items() for mark in _level(scale.up(level), name)),
        *(mark for point in points for mark in _marks(point, scale)),
        *_names(points, scale, [_box(scale.up(level), name) for name, level in levels.items()]),
        _text((_INSIDE.left + _INSIDE.right) / 2, _HEIGHT - 8, cost, "title middle"),
        "</svg>",
        f"<figcaption>{said}: what stands low and left protects for little.</figcaption></figure>",
    ]
    return "\n".join(parts)


def _axes(scale: _Scale, free: bool) -> Iterator[str]:
    for accuracy in range(0, scale.top + 1, 20):
        y = scale.up(accuracy)
        yield _line("grid", _INSIDE.left, y, _INSIDE.right, y)
        yield _text(_INSIDE.left - 6, y + 4, str(accuracy), "tick end")
    for decade in range(scale.low, scale.high + 1):
        x = scale.across(10.0**decade)
        yield _line("grid", x, _INSIDE.top, x, _INSIDE.bottom)
        yield _text(x, _INSIDE.bottom + 16, f"{10.0**decade:,g}" if decade < 6 else f"1e{decade}", "tick middle")
    if free:
        yield _text(scale.across(0), _INSIDE.bottom + 16, "0", "tick middle")
        yield _line("break", scale.start - 16, _INSIDE.top, scale.start - 16, _INSIDE.bottom)


def _level(y: float, name: str) -> Iterator[str]:
    yield _line("level", _INSIDE.left, y, _INSIDE.right, y)
    yield _text(_INSIDE.right, y - 5, name, "tick end")


def _box(y: float, name: str) -> Box:
    """Return what the name of a level covers, and its line below that."""
    box = box_before(name, _INSIDE.right, y - 5)
    return Box(box.left, box.top, box.right, y + 1)


def _marks(point: _Point, scale: _Scale) -> Iterator[str]:
    x, accuracy = scale.across(point.cost), point.accuracy
    if accuracy.low is not None and accuracy.high is not None:
        yield _line("interval", x, scale.up(accuracy.low), x, scale.up(accuracy.high))
    kind = "mean weak" if point.weak else "mean"
    yield f'<circle class="{kind}" cx="{x:.1f}" cy="{scale.up(accuracy.mean):.1f}" r="4.5"/>'


def _names(points: Sequence[_Point], scale: _Scale, drawn: Sequence[Box]) -> Iterator[str]:
    places = [(point.name, scale.across(point.cost), scale.up(point.accuracy.mean)) for point in points]
    for (name, x, y), box in zip(places, place_labels(places, _INSIDE, drawn), strict=True):
        middle = (box.top + box.bottom) / 2
        if abs(middle - y) > 15:  # far from its point, whose it might not be taken for
            yield _line("lead", x, y, min(max(x, box.left), box.right), middle)
        yield _text(box.left, middle + 4, name, "label")


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
