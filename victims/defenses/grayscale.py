"""Grayscale: perturbations that live in colour lose most of what they say."""

import torch
from torch import Tensor

from bench.api import DEFENSES, Defense

_CHUNK = 1024


@DEFENSES.register("grayscale")
class Grayscale(Defense):
    """The training images lose their colour, once; test images keep theirs.

    The luma of ITU-R BT.601, 0.299 R + 0.587 G + 0.114 B, in the fixed-point form of Pillow's mode L, in all three
    channels.

    Source: Liu et al., Image Shortcut Squeezing: Countering Perturbative Availability Poisons with Compression,
    ICML 2023.
    """

    cite = "liu2023image"
    words = "grayscale"

    def dataset(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return uint8 [N, 3, H, W] with three equal channels."""
        return torch.cat([_luma(part) for part in images.split(_CHUNK)])


def _luma(images: Tensor) -> Tensor:
    red, green, blue = images.int().split(1, dim=1)
    luma: Tensor = (19595 * red + 38470 * green + 7471 * blue + 2**15) >> 16
    return luma.to(torch.uint8).repeat(1, 3, 1, 1)
