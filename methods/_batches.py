"""Batches of one size, whatever the parts are in which the images come."""

from collections.abc import Iterator
from dataclasses import replace

import torch

from bench.api import CraftData


def batches(parts: Iterator[CraftData], size: int) -> Iterator[CraftData]:
    """Yield the images of all parts in their order, `size` at a time; the last ones may be fewer."""
    held: list[CraftData] = []
    for part in parts:
        held.append(part)
        while sum(len(one.y) for one in held) >= size:
            whole = _joined(held)
            yield _cut(whole, slice(size))
            held = [_cut(whole, slice(size, None))]
    if any(len(one.y) for one in held):
        yield _joined(held)


def _joined(parts: list[CraftData]) -> CraftData:
    x, y, index = (torch.cat(one) for one in zip(*((part.x, part.y, part.index) for part in parts), strict=True))
    return replace(parts[0], x=x, y=y, index=index)


def _cut(data: CraftData, part: slice) -> CraftData:
    return replace(data, x=data.x[part], y=data.y[part], index=data.index[part])
