"""Per-image random crop and flip of a whole batch on its device."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.recipe import Augmentation


@dataclass(frozen=True)
class Draws:
    """What the augmentation of some images was drawn to be.

    Attributes
    ----------
    top, left
        int64 [N], corner of the crop in the padded image, 0 to 2 * padding; padding itself leaves it in place.
    flip
        bool [N], whether the crop is mirrored from left to right.

    """

    top: Tensor
    left: Tensor
    flip: Tensor

    def to(self, device: torch.device) -> "Draws":
        """Return the same draws on another device."""
        return Draws(self.top.to(device), self.left.to(device), self.flip.to(device))

    def __getitem__(self, part: slice | Tensor) -> "Draws":
        return Draws(self.top[part], self.left[part], self.flip[part])


def draw(count: int, augmentation: Augmentation, generator: torch.Generator) -> Draws:
    """Draw the augmentation of `count` images from a CPU generator."""
    high = 2 * augmentation.crop_padding + 1
    top = torch.randint(high, (count,), generator=generator)
    left = torch.randint(high, (count,), generator=generator)
    flip = torch.rand(count, generator=generator) < 0.5
    return Draws(top, left, flip if augmentation.flip else torch.zeros_like(flip))


def augment(images: Tensor, draws: Draws, padding: int) -> Tensor:
    """Crop each image, [B, C, H, W], out of itself padded with zeros, then mirror those drawn to be.

    Returns the dtype it is given, [B, C, H, W].
    """
    height, width = images.shape[-2:]
    rows = draws.top[:, None] + torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device)
    columns = torch.where(draws.flip[:, None], width - 1 - columns, columns) + draws.left[:, None]
    padded = F.pad(images, (padding, padding, padding, padding))
    sample = torch.arange(len(images), device=images.device)[:, None, None]
    # Indexing with the channel last keeps one gather for all channels and ends in channels-last memory.
    return padded.permute(0, 2, 3, 1)[sample, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
