"""The shards of a protected set: which images are crafted, and kept, at a time."""

import re
from collections.abc import Iterator, Sequence

import torch

from bench.contracts.method import CraftData, Method
from bench.core.device import sent
from bench.data.images import Splits

SHARD = 1024
"""Images of 32x32 that are crafted, and kept, at a time. Part of no key: their number does not change the bytes."""

_SMALLEST_SHARD = 64
_PROCESSORS, _LARGEST = 32, 4
"""Of a GPU, for which a shard is enough, and how many times it a larger one gets at most: on fewer images it waits for
Python between kernels. A small GPU would take too long from one shard to the next."""


def shard_size(size: Sequence[int], device: torch.device) -> int:
    """Return how many images of a height and width make a shard: `SHARD` of 32x32 or as many pixels, more on a GPU."""
    height, width = size
    most = SHARD * _times(device)
    return max(min(most, most * 32 * 32 // (height * width)), min(_SMALLEST_SHARD, SHARD))


def size_for(method: Method, splits: Splits, device: torch.device) -> int:
    """Return how many images a method crafts at a time: all, where what becomes of one hangs on others."""
    return shard_size(splits.train.images.shape[-2:], device) if method.per_sample else len(splits.to_protect)


def _times(device: torch.device) -> int:
    if device.type != "cuda":
        return 1
    processors = torch.cuda.get_device_properties(device).multi_processor_count
    return min(max(processors // _PROCESSORS, 1), _LARGEST)


def shards(splits: Splits, size: int, device: torch.device) -> Iterator[CraftData]:
    """Yield all images that are to be protected on `device`, `size` at a time."""
    for start in range(0, len(splits.to_protect), size):
        yield shard(splits, start, size, device)


def shard(splits: Splits, start: int, size: int, device: torch.device) -> CraftData:
    """Return the `size` images from position `start` on of those that are to be protected, or as many as there are."""
    part = splits.to_protect[start : start + size]
    return CraftData(
        x=sent(splits.train.images[part], device).float() / 255,
        y=sent(splits.train.labels[part], device),
        classes=splits.judged_classes,
        index=part,
    )


def range_of_shard(name: str) -> slice | None:
    """Return which of the images to protect a file of unfinished work holds; None where it is no shard."""
    found = re.fullmatch(r"shard-(\d+)-(\d+)", name)
    return slice(int(found[1]), int(found[1]) + int(found[2])) if found else None


def shard_name(start: int, size: int) -> str:
    """Return what the file of a shard is called among unfinished work."""
    return f"shard-{start:07d}-{size}"
