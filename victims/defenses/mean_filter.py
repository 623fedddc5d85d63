"""A mean filter: each pixel becomes the average of the square around it."""

import torch
from torch import Tensor

from bench.api import DEFENSES, Defense
from victims.defenses._neighbourhoods import FilterParams, filtered


@DEFENSES.register("mean-filter")
class MeanFilter(Defense[FilterParams]):
    """Each channel of the training images is averaged over a square, once; test images stay as they are.

    The images are mirrored beyond their border, without repeating the pixels at it.

    Source: one of the filters of Liu et al., Image Shortcut Squeezing: Countering Perturbative Availability Poisons
    with Compression, ICML 2023.
    """

    cite = "liu2023image"
    short = "size"
    words = "a mean filter of {size} pixels"

    def dataset(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Average the images, uint8 [N, 3, H, W]."""
        return filtered(images, self.params.size, lambda windows: windows.mean(-1))
