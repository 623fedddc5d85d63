"""Columns in blocks below each other, where they are wider together than there is room."""

from collections.abc import Sequence


def blocks_of(widths: Sequence[float], heads: float, room: float) -> list[range]:
    """Return the columns of each block, so that they and the `heads` of the rows fit into `room`, one at least.

    Blocks are as few as they can be, and of these as even as they can be: one with a single column beside one that is
    full reads badly.
    """
    count = len(_filled(widths, room - heads))
    narrowest = room - heads
    for target in sorted({sum(widths[i:j]) for i in range(len(widths)) for j in range(i + 1, len(widths) + 1)}):
        if target <= room - heads and len(_filled(widths, target)) == count:
            narrowest = target
            break
    return _filled(widths, narrowest)


def _filled(widths: Sequence[float], room: float) -> list[range]:
    blocks, start, used = [], 0, 0.0
    for i, width in enumerate(widths):
        if i > start and used + width > room + 1e-9:
            blocks.append(range(start, i))
            start, used = i, 0.0
        used += width
    return [*blocks, range(start, len(widths))]
