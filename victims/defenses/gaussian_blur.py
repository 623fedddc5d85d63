"""A Gaussian blur: fine perturbations are averaged away, and fine detail with them."""

import torch
from torch import Tensor

from bench.api import DEFENSES, Defense, Field
from victims.defenses._neighbourhoods import FilterParams, filtered


class BlurParams(FilterParams):
    """Parameters of the blur."""

    sigma: float | None = Field(
        None, gt=0, description="standard deviation in pixels; 0.15 * size + 0.35 if unset, which is 0.8 for 3"
    )


@DEFENSES.register("gaussian-blur")
class GaussianBlur(Defense[BlurParams]):
    """The training images are blurred by a Gaussian kernel, once; test images stay as they are.

    Its standard deviation follows from its size as in torchvision and OpenCV. The published numbers of this name (Liu
    et al., ICML 2023; Qin et al., APBench, 2023) are of a size of 3 and `sigma: 0.1`, which changes no pixel: they
    measure no defense at all, so that they are no default here, and stand beside results with their sigma alone. The
    images are mirrored beyond their border, without repeating the pixels at it.

    Source: one of the filters of Liu et al., Image Shortcut Squeezing: Countering Perturbative Availability Poisons
    with Compression, ICML 2023.
    """

    cite = "liu2023image"
    short = "size"
    words = "a Gaussian blur of {size} pixels"

    def dataset(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Blur the images, uint8 [N, 3, H, W]."""
        size = self.params.size
        sigma = 0.15 * size + 0.35 if self.params.sigma is None else self.params.sigma
        kernel = _kernel(size, sigma).to(images.device)
        # Summed by hand: a convolution or matrix product may round to TF32 on a GPU.
        return filtered(images, size, lambda windows: (windows * kernel).sum(-1))


def _kernel(size: int, sigma: float) -> Tensor:
    distance = torch.arange(size) - size // 2
    weight = torch.exp(-(distance**2) / (2 * sigma**2))
    weight = weight / weight.sum()
    return (weight[:, None] * weight).flatten()
