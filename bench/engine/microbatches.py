"""Calls over any number of images, in micro-batches that fit the memory of the device."""

import logging
import math
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

_LOG = logging.getLogger("sepbench")

ACTIVATIONS = 700
"""Activations of a pass take about this many times the memory of the images, for the networks of this field."""

SHARE_OF_FREE_MEMORY = 0.6
"""What the micro-batches of a GPU are sized for."""

_SMALLEST_ESTIMATE = 16
_CPU_BATCH = 256

T = TypeVar("T")


class MicroBatches:
    """Splits images and their classes into parts of one size, which is halved whenever the device runs out of memory.

    Parameters
    ----------
    size
        Images in a part; on the first call as many as fit the free memory of their device if unset.

    Examples
    --------
    The features of images `x`, float32 [N, 3, H, W], of classes `y`, four at a time:

    >>> with torch.no_grad():
    ...     parts = MicroBatches(4).map(lambda images, classes: networks[0].features(images), x, y)
    >>> torch.cat(parts).shape == (len(x), networks[0].classifier.head.in_features)
    True

    """

    def __init__(self, size: int | None = None) -> None:
        self.size = size
        self._warned = False

    def map(self, call: Callable[[Tensor, Tensor], T], x: Tensor, y: Tensor, *, pad: bool = False) -> list[T]:
        """Return what `call` makes of each part.

        Parameters
        ----------
        x, y
            [N, 3, H, W], passed on channels-last, and [N].
        pad
            Whether the last part gets black images of class 0 until it has the size of the others.

        Raises
        ------
        torch.OutOfMemoryError
            Not even one image fits.

        """
        # Once: what the first parts leave in the allocator's cache is not free memory, but it is there to be used.
        self.size = self.size or _fitting(x)
        while True:
            try:
                return [call(*part) for part in self._parts(self.size, x, y, pad)]
            except torch.OutOfMemoryError:
                if self.size == 1:
                    raise
            # Out of the handler, whose exception holds on to the tensors of the failed call.
            self.size = math.ceil(self.size / 2)
            self._make_room(x.device)

    @staticmethod
    def _parts(size: int, x: Tensor, y: Tensor, pad: bool) -> Iterator[tuple[Tensor, Tensor]]:
        for images, classes in zip(x.split(size), y.split(size), strict=True):
            missing = size - len(images)
            if pad and missing:
                images, classes = F.pad(images, (0, 0) * 3 + (0, missing)), F.pad(classes, (0, missing))
            yield images.to(memory_format=torch.channels_last), classes

    def _make_room(self, device: torch.device) -> None:
        if not self._warned:
            _LOG.warning("%s ran out of memory: going on with micro-batches of %d images or fewer", device, self.size)
        self._warned = True
        if device.type == "cuda":
            torch.cuda.empty_cache()


def _fitting(x: Tensor) -> int:
    if x.device.type != "cuda":
        return _CPU_BATCH
    free, _ = torch.cuda.mem_get_info(x.device)
    return even_size(len(x), int(free * SHARE_OF_FREE_MEMORY / (x[0].numel() * x.element_size() * ACTIVATIONS)))


def even_size(count: int, limit: int) -> int:
    """Return the size of the fewest parts of `count` images that are as equal as can be, none above the limit."""
    return math.ceil(count / math.ceil(count / max(limit, _SMALLEST_ESTIMATE)))
