"""One sheet that shows what protection has done to a few pictures."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

_CELL, _GAP, _MARGIN = 192, 6, 24  # pixels
_CAPTION, _HEADING, _LEGEND, _TITLE = 30, 24, 30, 30
_BETWEEN = 36  # of two groups of columns
_INK, _FAINT, _PAPER = (32, 32, 32), (110, 110, 110), (245, 245, 245)


@dataclass(frozen=True, eq=False)
class Shown:
    """A picture before and after: uint8 [H, W, 3] both, and what stands below it."""

    name: str
    original: NDArray[np.uint8]
    protected: NDArray[np.uint8]


def spread(labels: NDArray[np.int64], count: int) -> list[int]:
    """Return positions of so many pictures of as many classes as can be, ascending: of each the first, then second."""
    rank = np.empty_like(labels)
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        rank[of_class] = np.arange(len(of_class))
    firsts = np.flatnonzero(rank == 0)
    if count < len(firsts):  # evenly over the classes, not those that come first
        return sorted(firsts[np.arange(count) * len(firsts) // count].tolist())
    return sorted(np.lexsort((labels, rank))[:count].tolist())


def sheet(shown: Sequence[Shown], title: str) -> bytes:
    """Draw pictures, their protected copies and the difference, amplified, as PNG.

    Mid-grey is no change. The factor is the same throughout, the largest that keeps every change in range, and is
    written above. Small pictures are enlarged without smoothing, large ones made smaller.
    """
    from PIL import Image, ImageDraw

    worst = max(int(np.abs(_change(one)).max()) for one in shown)
    factor = max(1, 127 // max(worst, 1))
    groups = 1 if len(shown) < 4 else 2
    rows = [shown[start : start + groups] for start in range(0, len(shown), groups)]
    heights = [max(_fitted_size(one.original)[1] for one in row) + _CAPTION + _GAP for row in rows]
    group = 3 * _CELL + 2 * _GAP
    width = 2 * _MARGIN + groups * group + (groups - 1) * _BETWEEN
    top = _MARGIN + _TITLE + _LEGEND + _HEADING
    page = Image.new("RGB", (width, top + sum(heights) + _MARGIN - _GAP), _PAPER)
    pen = ImageDraw.Draw(page)
    _write(pen, (_MARGIN, _MARGIN), title, _font(18), _INK, width - 2 * _MARGIN)
    legend = (
        f"The largest change shown is {worst} of 255 levels. The difference is amplified {factor} times; "
        "mid-grey is no change."
    )
    _write(pen, (_MARGIN, _MARGIN + _TITLE), legend, _font(12), _FAINT, width - 2 * _MARGIN)
    lefts = [_MARGIN + number * (group + _BETWEEN) for number in range(groups)]
    for left in lefts:
        for column, heading in enumerate(("original", "protected", f"difference x {factor}")):
            place = (left + column * (_CELL + _GAP), top - _HEADING)
            _write(pen, place, heading, _font(14), _INK, _CELL)
    for row, height in zip(rows, heights, strict=True):
        for left, one in zip(lefts, row, strict=False):
            amplified = (128 + factor * _change(one)).clip(0, 255).astype(np.uint8)
            for column, pixels in enumerate((one.original, one.protected, amplified)):
                page.paste(_fitted(pixels, exact=column == 2), (left + column * (_CELL + _GAP), top))
            h, w = one.original.shape[:2]
            place = (left, top + _fitted_size(one.original)[1] + 3)
            _write(pen, place, f"{one.name} · {w} x {h}", _font(12), _FAINT, group)
        top += height
    buffer = io.BytesIO()
    page.save(buffer, "PNG")
    return buffer.getvalue()


def _change(one: Shown) -> NDArray[np.int16]:
    return one.protected.astype(np.int16) - one.original.astype(np.int16)


def _fitted(pixels: NDArray[np.uint8], *, exact: bool) -> "Image":
    """Return an image in a cell; of an `exact` one no pixels are mixed, which would hide changes."""
    from PIL import Image
    from PIL.Image import Resampling

    smooth = max(pixels.shape) > _CELL and not exact
    size = _fitted_size(pixels)
    return Image.fromarray(pixels).resize(size, Resampling.LANCZOS if smooth else Resampling.NEAREST)


def _fitted_size(pixels: NDArray[np.uint8]) -> tuple[int, int]:
    height, width = pixels.shape[:2]
    longer = max(height, width)
    scale = _CELL // longer if longer <= _CELL else _CELL / longer
    return max(1, round(width * scale)), max(1, round(height * scale))


def _font(size: int) -> "FreeTypeFont":
    import matplotlib as mpl
    from PIL import ImageFont

    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), size)


def _write(
    pen: "ImageDraw", place: tuple[int, int], text: str, font: "FreeTypeFont", ink: tuple[int, int, int], room: int
) -> None:
    """Write a line; of one that is too long the beginning is left out, as the end of a path tells more."""
    text = text.encode(errors="backslashreplace").decode()
    shown = text
    while shown and pen.textlength(shown if shown == text else f"…{shown}", font) > room:
        shown = shown[1:]
    pen.text(place, shown if shown == text else f"…{shown}", ink, font)
