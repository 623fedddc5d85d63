"""Calls over any number of images, in micro-batches that fit the memory of the device."""

import logging
import math
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.engine.kept_for_backward import most_kept

_LOG = logging.getLogger("sepbench")

ACTIVATIONS = 700
"""Memory of an image's pass in images of its format, where nothing is tried."""

_PASSING = 50  # of that beside what autograd keeps: what comes and goes

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

    Attributes
    ----------
    size
        As it is now.
    of_an_image
        Bytes that an image was thought to take when the size was chosen; None where it was not chosen for memory.

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
        self.of_an_image: int | None = None
        self._warned = False

    def map(
        self,
        call: Callable[[Tensor, Tensor], T],
        x: Tensor,
        y: Tensor,
        *,
        pad: bool = False,
        trial: Callable[[Tensor, Tensor], object] | None = None,
    ) -> list[T]:
        """Return what `call` makes of each part.

        Parameters
        ----------
        x, y
            [N, 3, H, W], passed on channels-last, and [N].
        pad
            Whether the last part gets black images of class 0 until it has the size of the others.
        trial
            Takes the gradients that `call` takes. On a GPU it is called with one image and with two before the size is
            chosen: networks differ by a hundred times in what autograd keeps of an image. If unset, much is assumed.

        Raises
        ------
        torch.OutOfMemoryError
            Not even one image fits.

        """
        # Once: what the first parts leave in the allocator's cache is not free memory, but it is there to be used.
        self.size = self.size or self._fitting(x, y, trial)
        while True:
            try:
                return [call(*part) for part in self._parts(self.size, x, y, pad)]
            except torch.OutOfMemoryError:
                if self.size == 1:
                    raise
            # Out of the handler, whose exception holds on to the tensors of the failed call.
            self.size = math.ceil(self.size / 2)
            self._make_room(x.device)

    def _fitting(self, x: Tensor, y: Tensor, trial: Callable[[Tensor, Tensor], object] | None) -> int:
        if x.device.type != "cuda":
            return _CPU_BATCH
        self.of_an_image = memory_of_an_image(x, y, trial)
        return even_size(len(x), int(_free_memory(x.device) * SHARE_OF_FREE_MEMORY / self.of_an_image))

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


def memory_of_an_image(x: Tensor, y: Tensor, trial: Callable[[Tensor, Tensor], object] | None) -> int:
    """Return the bytes that each image of a part takes while gradients are taken."""
    image = x[0].numel() * x.element_size()
    if trial is None:
        return ACTIVATIONS * image
    parts = ((x[:1].repeat(count, 1, 1, 1), y[:1].repeat(count)) for count in (1, 2))
    # Weights are kept as well, once for all images: they are in both, and in the difference they are not.
    one, two = (most_kept(trial, images.to(memory_format=torch.channels_last), classes) for images, classes in parts)
    return two - one + _PASSING * image


def _free_memory(device: torch.device) -> int:
    """Return the bytes that there are to be taken: torch holds on to what it has freed, and takes it from there."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def even_size(count: int, limit: int) -> int:
    """Return the size of the fewest parts of `count` images that are as equal as can be, none above the limit."""
    return math.ceil(count / math.ceil(count / max(limit, _SMALLEST_ESTIMATE)))
