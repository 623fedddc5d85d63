"""A median filter: what stands out of its surroundings goes, edges stay."""

import torch
from torch import Tensor

from bench.api import DEFENSES, Defense
from victims.defenses._neighbourhoods import FilterParams, filtered


@DEFENSES.register("median-filter")
class MedianFilter(Defense[FilterParams]):
    """Each pixel of the training images becomes the median of a square, once; test images stay as they are.

    Channel by channel. Beyond their border the images go on with the pixels at it, as with OpenCV.

    Source: one of the filters of Liu et al., Image Shortcut Squeezing: Countering Perturbative Availability Poisons
    with Compression, ICML 2023.
    """

    version = 2
    cite = "liu2023image"
    short = "size"
    words = "a median filter of {size} pixels"

    def dataset(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Take medians of the images, uint8 [N, 3, H, W]."""
        return filtered(images, self.params.size, lambda windows: windows.median(-1).values, border="replicate")
