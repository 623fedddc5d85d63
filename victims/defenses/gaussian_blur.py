"""A Gaussian blur: fine perturbations are averaged away, and fine detail with them."""

import torch
from torch import Tensor

from bench.api import DEFENSES, Defense
from victims.defenses._neighbourhoods import FilterParams, filtered


@DEFENSES.register("gaussian-blur")
class GaussianBlur(Defense[FilterParams]):
    """The training images are blurred by a Gaussian kernel, once; test images stay as they are.

    Its standard deviation follows from its size as in torchvision and OpenCV, 0.15 * size + 0.35: 0.8 pixels for 3.
    The images are mirrored beyond their border, without repeating the pixels at it.

    Source: one of the filters of Liu et al., Image Shortcut Squeezing: Countering Perturbative Availability Poisons
    with Compression, ICML 2023.
    """

    cite = "liu2023image"
    short = "size"

    def dataset(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Blur the images, uint8 [N, 3, H, W]."""
        kernel = _kernel(self.params.size).to(images.device)
        # Summed by hand: a convolution or matrix product may round to TF32 on a GPU.
        return filtered(images, self.params.size, lambda windows: (windows * kernel).sum(-1))


def _kernel(size: int) -> Tensor:
    sigma = 0.15 * size + 0.35
    distance = torch.arange(size) - size // 2
    weight = torch.exp(-(distance**2) / (2 * sigma**2))
    weight = weight / weight.sum()
    return (weight[:, None] * weight).flatten()
