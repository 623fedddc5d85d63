"""Fewer bits: perturbations smaller than a step between two levels vanish."""

import torch
from torch import Tensor

from bench.api import DEFENSES, Defense, Field, Params

_CHUNK = 1024


class BitDepthParams(Params):
    """Parameters of the reduction."""

    bits: int = Field(2, ge=1, le=7, description="bits a channel: 2 leaves the levels 0, 85, 170 and 255")


@DEFENSES.register("bit-depth")
class BitDepth(Defense[BitDepthParams]):
    """The training images keep a few bits of each channel, once; test images keep theirs.

    Every value goes to the nearest of 2^bits levels that are spread evenly from 0 to 255.

    Source: Xu et al., Feature Squeezing: Detecting Adversarial Examples in Deep Neural Networks, NDSS 2018; against
    availability poisons Liu et al., ICML 2023.
    """

    cite = "xu2018feature"
    short = "bits"

    def dataset(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Round the images, uint8 [N, 3, H, W], to fewer levels."""
        highest = 2**self.params.bits - 1

        def squeezed(part: Tensor) -> Tensor:
            level: Tensor = (part.float() * highest / 255).round_()
            return level.mul_(255).div_(highest).round_().to(torch.uint8)

        return torch.cat([squeezed(part) for part in images.split(_CHUNK)])
