"""Fewer bits: perturbations smaller than a step between two levels vanish."""

from typing import Literal

import torch
from torch import Tensor

from bench.api import DEFENSES, Defense, Field, Params

_CHUNK = 1024


class BitDepthParams(Params):
    """Parameters of the reduction."""

    bits: int = Field(2, ge=1, le=7, description="bits a channel")
    rounding: Literal["down", "nearest"] = Field(
        "down",
        description="down keeps the highest bits: of 2, 0, 64, 128 and 192; nearest goes to 0, 85, 170 or 255",
    )


@DEFENSES.register("bit-depth")
class BitDepth(Defense[BitDepthParams]):
    """The training images keep a few bits of each channel, once; test images keep theirs.

    The highest bits stay and the others are zero, as in the code behind the published numbers (Liu et al., ICML 2023;
    Qin et al., APBench, 2023). That also darkens the training images, by 32 levels on average with 2 bits, and not the
    test images. To the nearest of 2^bits levels that are spread evenly from 0 to 255, as in the original defense, their
    brightness stays, and what is measured is the loss of levels alone: `rounding: nearest` is the better question where
    no published number stands beside it.

    Source: Xu et al., Feature Squeezing: Detecting Adversarial Examples in Deep Neural Networks, NDSS 2018.
    """

    version = 2
    cite = "xu2018feature"
    short = "bits"
    words = "a reduction to {bits} bits a channel"

    def dataset(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Bring the images, uint8 [N, 3, H, W], to fewer levels."""
        if self.params.rounding == "down":
            kept: Tensor = images & (256 - 2 ** (8 - self.params.bits))
            return kept
        highest = 2**self.params.bits - 1

        def squeezed(part: Tensor) -> Tensor:
            level: Tensor = (part.float() * highest / 255).round_()
            return level.mul_(255).div_(highest).round_().to(torch.uint8)

        return torch.cat([squeezed(part) for part in images.split(_CHUNK)])
