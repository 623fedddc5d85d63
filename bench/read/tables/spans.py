"""Labels that stand above several columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby


@dataclass(frozen=True)
class Span:
    """A label above the columns `start` up to but not including `stop`; a leaf is a column's own, innermost label."""

    label: str
    start: int
    stop: int
    leaf: bool


def spans(headers: Sequence[tuple[str, ...]]) -> list[list[Span]]:
    """Return the labels level by level, the outermost first; neighbours that share outer labels share their span.

    Headers may differ in length: a short one has its leaf on an upper level and nothing below.
    """
    levels = []
    for level in range(max(map(len, headers))):
        # A leaf belongs to its column alone, even where the next one's is the same.
        keys = [(header[: level + 1], i if len(header) <= level + 1 else None) for i, header in enumerate(headers)]
        groups = [list(group) for _, group in groupby(range(len(headers)), key=keys.__getitem__)]
        levels.append(
            [
                Span(headers[group[0]][level], group[0], group[-1] + 1, leaf=len(headers[group[0]]) == level + 1)
                for group in groups
                if len(headers[group[0]]) > level
            ]
        )
    return levels
