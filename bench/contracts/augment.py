"""Per-image random crop and flip of a whole batch on its device, differentiable."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor

from bench.contracts.plugin import Params
from bench.core.device import sent

_TRIES = 10  # windows drawn of an image before it settles for one in the middle
_LARGEST_ASPECT = 4 / 3


class Augmentation(Params):
    """Per-image random crop, and horizontal flip with probability 1/2.

    Attributes
    ----------
    crop_padding
        A window of the image's size out of the image padded with so many zeros.
    resized_crop
        Instead, a window of at least this share of the image's area and an aspect ratio of 3/4 to 4/3 of it, resized
        to the size of the image (Szegedy et al., "Going Deeper with Convolutions", CVPR 2015); usually 0.08.

    """

    crop_padding: int = Field(0, ge=0)
    resized_crop: float | None = Field(None, gt=0, le=1)
    flip: bool = False

    @model_validator(mode="after")
    def _one_crop(self) -> "Augmentation":
        if self.crop_padding and self.resized_crop is not None:
            raise ValueError(
                "crop_padding and resized_crop are two ways to crop: set crop_padding to 0 or leave resized_crop out"
            )
        return self


@dataclass(frozen=True)
class Draws:
    """What the augmentation of some images was drawn to be.

    Attributes
    ----------
    top, left
        int64 [N], corner of the crop: in the padded image, 0 to 2 * padding, where padding itself leaves it in place;
        or of a window that is resized, in the image.
    flip
        bool [N], whether the crop is mirrored from left to right.
    height, width
        int64 [N], size of a window that is resized to the size of the image; None where crops are of that size.

    """

    top: Tensor
    left: Tensor
    flip: Tensor
    height: Tensor | None = None
    width: Tensor | None = None

    def to(self, device: torch.device) -> "Draws":
        """Return the same draws on another device."""
        return self._each(lambda drawn: sent(drawn, device))

    def __getitem__(self, part: slice | Tensor) -> "Draws":
        return self._each(lambda drawn: drawn[part])

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Draws":
        height, width = (None if drawn is None else change(drawn) for drawn in (self.height, self.width))
        return Draws(change(self.top), change(self.left), change(self.flip), height, width)


def draw(count: int, augmentation: Augmentation, generator: torch.Generator, size: Sequence[int]) -> Draws:
    """Draw the augmentation of some images.

    Parameters
    ----------
    count
        How many images.
    augmentation
        What may be done to them.
    generator
        On the CPU. The draws depend on it and on the other arguments alone: with `ctx.generator("augment", step)` and
        `ctx.images` as count, the part of a shard is `draws[data.index]`, whatever the shards.
    size
        Height and width of the images.

    Returns
    -------
    On the CPU; `Draws.to` moves them to the device of the images.

    """
    if augmentation.resized_crop is None:
        high = 2 * augmentation.crop_padding + 1
        top = torch.randint(high, (count,), generator=generator)
        left = torch.randint(high, (count,), generator=generator)
        height = width = None
    else:
        top, left, height, width = _windows(count, augmentation.resized_crop, generator, size)
    flip = torch.rand(count, generator=generator) < 0.5
    return Draws(top, left, flip if augmentation.flip else torch.zeros_like(flip), height, width)


def augment(images: Tensor, draws: Draws, padding: int) -> Tensor:
    """Crop each image as it was drawn, then mirror those drawn to be.

    Parameters
    ----------
    images
        [B, C, H, W] of any dtype and range, such as uint8 or float in [0, 1]; they stay as they are. Float images that
        require gradients get them: the gradient with respect to the augmented images goes back to the pixels that they
        were made of.
    draws
        Of these B images, on their device.
    padding
        The `crop_padding` that they were drawn with.

    Returns
    -------
    [B, C, H, W]. Crops of the image's size are taken out of the image padded with zeros, and keep the dtype. Other
    windows are resized bilinearly, as float32 in the range they had, or float64 if they were; on a GPU, the gradient of
    these is added up in no fixed order.

    Examples
    --------
    The gradient of an ensemble through a random crop and flip, for images `x`, float [N, 3, H, W], of classes `y`:

    >>> kind = Augmentation(crop_padding=4, flip=True)
    >>> draws = draw(len(x), kind, torch.Generator().manual_seed(0), x.shape[-2:]).to(x.device)
    >>> images = x.clone().requires_grad_()
    >>> seen = augment(images, draws, kind.crop_padding)
    >>> gradient, = torch.autograd.grad(seen, images, Ensemble(networks).mean_gradient(seen.detach(), y))

    """
    if draws.height is not None and draws.width is not None:
        return _resized(images, draws, draws.height, draws.width)
    height, width = images.shape[-2:]
    rows = draws.top[:, None] + torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device)
    columns = torch.where(draws.flip[:, None], width - 1 - columns, columns) + draws.left[:, None]
    padded = F.pad(images, (padding, padding, padding, padding))
    sample = torch.arange(len(images), device=images.device)[:, None, None]
    # Indexing with the channel last keeps one gather for all channels and ends in channels-last memory.
    return padded.permute(0, 2, 3, 1)[sample, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _windows(
    count: int, smallest: float, generator: torch.Generator, size: Sequence[int]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw top, left, height and width, int64 [N] each.

    Area and logarithm of the aspect ratio are uniform. The first of several draws that fits into the image counts;
    where none does, it is the largest window in the middle whose aspect ratio is allowed.
    """
    height, width = size
    share, ratio = torch.rand(2, count, _TRIES, generator=generator, dtype=torch.float64)
    area = height * width * (smallest + (1 - smallest) * share)
    aspect = torch.exp(math.log(_LARGEST_ASPECT) * (2 * ratio - 1))
    heights, widths = (area / aspect).sqrt().round().long(), (area * aspect).sqrt().round().long()
    fits = (heights >= 1) & (heights <= height) & (widths >= 1) & (widths <= width)
    chosen, found = fits.int().argmax(1, keepdim=True), fits.any(1)
    h = torch.where(found, heights.gather(1, chosen)[:, 0], min(height, round(width * _LARGEST_ASPECT)))
    w = torch.where(found, widths.gather(1, chosen)[:, 0], min(width, round(height * _LARGEST_ASPECT)))
    down, right = torch.rand(2, count, generator=generator, dtype=torch.float64)
    top = torch.where(found, (down * (height - h + 1)).long(), (height - h) // 2)
    left = torch.where(found, (right * (width - w + 1)).long(), (width - w) // 2)
    return top, left, h, w


def _resized(images: Tensor, draws: Draws, heights: Tensor, widths: Tensor) -> Tensor:
    height, width = images.shape[-2:]
    columns = torch.arange(width, device=images.device).expand(len(images), width)
    columns = torch.where(draws.flip[:, None], width - 1 - columns, columns)
    rows = torch.arange(height, device=images.device).expand(len(images), height)
    y = _positions(rows, draws.top, heights, height)
    x = _positions(columns, draws.left, widths, width)
    grid = torch.stack([x[:, None, :].expand(-1, height, -1), y[:, :, None].expand(-1, -1, width)], dim=-1)
    images = images if images.dtype == torch.float64 else images.float()
    return F.grid_sample(images, grid.to(images.dtype), mode="bilinear", align_corners=True)


def _positions(pixels: Tensor, start: Tensor, length: Tensor, size: int) -> Tensor:
    """Return where in the image the middles of resized pixels lie: -1 is the middle of the first pixel, 1 of the last.

    A window is resized as if its border went on beyond it: pixels around it have no part in it.
    """
    inside = (pixels + 0.5) * (length[:, None] / size) - 0.5
    inside = torch.minimum(inside.clamp_min(0), length[:, None] - 1.0) + start[:, None]
    return 2 * inside / (size - 1) - 1
