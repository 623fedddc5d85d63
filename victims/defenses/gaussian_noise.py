"""Gaussian noise: perturbations drown in fresh noise of their own size."""

import torch
from torch import Tensor

from bench.api import DEFENSES, Defense, Field, Params


class GaussianNoiseParams(Params):
    """Parameters of the noise."""

    sigma: int = Field(8, ge=1, le=255, description="standard deviation in levels of 1/255")


@DEFENSES.register("gaussian-noise")
class GaussianNoise(Defense[GaussianNoiseParams]):
    """Normal noise on every pixel and channel, fresh in every batch, clamped to [0, 1].

    Source: one of the augmentations that availability attacks are tested against since Huang et al., Unlearnable
    Examples: Making Personal Data Unexploitable, ICLR 2021.
    """

    cite = "huang2021unlearnable"
    short = "sigma"
    words = "Gaussian noise of {sigma}/255"

    def batch(self, x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Add noise to the images; labels stay."""
        noise = torch.empty_like(x).normal_(0, self.params.sigma / 255, generator=generator)
        return noise.add_(x).clamp_(0, 1), y
