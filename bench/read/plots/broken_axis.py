"""An axis that spreads over what happens, with levels far from it beyond a break."""

from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bench.read.tables import TableCell

_FAR = 0.6  # of what the lines span: nearer levels need no break
_GAP, _BEYOND = 0.05, 0.12  # of the axis: what a break takes, and the levels beyond it
_ROOM = 0.06  # of what the lines span, on either side
_LEAST = 5.0  # percent that an axis spans


def spread_over(
    axes: Axes, lines: Iterable[TableCell], others: Iterable[TableCell], chance: float | None = None
) -> None:
    """Spread the vertical axis, percentages, over the intervals of `lines`, so that all of `others` are on it, too.

    What lies far above or below stands beyond a break, with a tick of its own.
    """
    ends = [end for cell in lines for end in _interval(cell)]
    if not ends:
        axes.set_ylim(0, 104)
        return
    levels = sorted({end for cell in others for end in _interval(cell)} | ({chance} if chance is not None else set()))
    low, high = min(ends), max(ends)
    room = max(_ROOM * (high - low), (_LEAST - (high - low)) / 2)
    low, high = max(0.0, low - room), min(104.0, high + room)
    far = _FAR * (high - low)
    above = [one for one in levels if one > high + far]
    below = [one for one in levels if one < low - far]
    near = [one for one in levels if one not in (*above, *below)]
    low, high = max(0.0, min([low, *(one - room / 2 for one in near)])), max([high, *(one + room / 2 for one in near)])
    if low < far:  # so near to nothing that the axis may begin there
        low = 0.0
    places, shares = [low, high], [0.0, 1.0]
    for beyond, upper in ((above, True), (below, False)):
        if beyond:
            _extend(places, shares, beyond, room, upper=upper)
    axes.set_yscale(
        "function", functions=(lambda y: np.interp(y, places, shares), lambda y: np.interp(y, shares, places))
    )
    axes.set_ylim(places[0], places[-1])
    ticks = [tick for tick in MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, high) if low <= tick <= high]
    beyond = [round(float(np.mean(part)), 1) for part in (below, above) if part]
    axes.set_yticks(sorted([*ticks, *beyond]))
    axes.set_yticks([], minor=True)
    for part, upper in ((above, True), (below, False)):
        if part:
            _mark_break(axes, high if upper else low, upper=upper)


def _extend(places: list[float], shares: list[float], levels: Sequence[float], room: float, *, upper: bool) -> None:
    """Add a break and, beyond it, the stretch that holds the levels."""
    first, last = min(levels) - room, max(levels) + room
    if upper:
        places += [first, last]
        shares += [shares[-1] + _GAP, shares[-1] + _GAP + _BEYOND]
    else:
        places[:0] = [max(0.0, first) - (0 if first > 0 else 1e-6), last]
        shares[:0] = [shares[0] - _GAP - _BEYOND, shares[0] - _GAP]


def _mark_break(axes: Axes, place: float, *, upper: bool) -> None:
    """Draw the two strokes of a broken axis."""
    scale = axes.transScale.transform
    limits = [float(scale((1, end))[1]) for end in axes.get_ylim()]
    at = (float(scale((1, place))[1]) - limits[0]) / (limits[1] - limits[0])
    gap = _GAP / (limits[1] - limits[0])
    for middle in (at + gap * (0.35 if upper else -0.35), at + gap * (0.65 if upper else -0.65)):
        axes.plot(
            [-0.015, 0.015], [middle - 0.012, middle + 0.012], color="0.15", linewidth=0.6, clip_on=False,
            transform=axes.transAxes, label="_break",
        )  # fmt: skip


def _interval(cell: TableCell) -> tuple[float, ...]:
    half = cell.half_width or 0.0
    return () if cell.mean is None else (cell.mean - half, cell.mean + half)
