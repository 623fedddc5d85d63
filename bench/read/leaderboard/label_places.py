"""Where the names of points stand, so that they cover neither each other nor a point."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_LETTER, _LINE = 6.6, 13  # of a label's letters, in the units of the drawing
_MARK = 5
_AWAY = 1000  # what a unit of area outside the drawing counts


@dataclass(frozen=True)
class Box:
    """A rectangle; y grows downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def shared(self, other: "Box") -> float:
        """Return the area that both cover."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, wide) * max(0.0, high)

    @property
    def area(self) -> float:
        """Width times height."""
        return (self.right - self.left) * (self.bottom - self.top)


def place_labels(points: Sequence[tuple[str, float, float]], frame: Box, drawn: Sequence[Box] = ()) -> list[Box]:
    """Return a box for the name of each point (name, x, y): beside it, or where the least is covered.

    Parameters
    ----------
    frame
        What names are to stay within.
    drawn
        What they are not to cover besides points and each other.

    """
    taken = [*drawn, *(Box(x - _MARK, y - _MARK, x + _MARK, y + _MARK) for _, x, y in points)]
    boxes = []
    for name, x, y in points:
        box = min(_places(name, x, y), key=lambda one: _covered(one, taken, frame))
        taken.append(box)
        boxes.append(box)
    return boxes


def box_before(name: str, right: float, baseline: float) -> Box:
    """Return the box of a text that ends there."""
    return Box(right - len(name) * _LETTER, baseline - _LINE + 2, right, baseline + 2)


def _places(name: str, x: float, y: float) -> Iterator[Box]:
    """Yield places from the nearest to the farthest: right, left, above, below, then farther up and down."""
    width = len(name) * _LETTER
    for shift in (0, -9, 9, -18, 18, -27, 27, -40, 40, -53, 53):
        for left in (x + 8, x - 8 - width):
            yield Box(left, y + shift - _LINE / 2, left + width, y + shift + _LINE / 2)
    for middle in (y - 14, y + 14):
        yield Box(x - width / 2, middle - _LINE / 2, x + width / 2, middle + _LINE / 2)


def _covered(box: Box, taken: Sequence[Box], frame: Box) -> float:
    return sum(box.shared(one) for one in taken) + _AWAY * (box.area - box.shared(frame))
