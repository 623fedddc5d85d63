"""Mixup: straight lines between images and between their labels."""

import torch
from torch import Tensor

from bench.api import DEFENSES, Defense, Field, Params
from victims.defenses._mixing import beta, probabilities


class MixupParams(Params):
    """Parameters of mixup."""

    alpha: float = Field(1.0, ge=1e-3, le=100, description="the proportion is drawn from Beta(alpha, alpha)")


@DEFENSES.register("mixup")
class Mixup(Defense[MixupParams]):
    """Every image of a batch is blended with another one of it, and its target with that one's.

    One proportion for each batch, as in the authors' code; the partners are a random order of the batch. Image
    Shortcut Squeezing draws a proportion for each image instead.

    Source: Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018.
    """

    cite = "zhang2018mixup"
    words = "blending pictures with each other"

    def batch(self, x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return blended images and targets, [B, C]."""
        kept = beta(self.params.alpha, generator)
        partner = torch.randperm(len(x), generator=generator, device=x.device)
        y = probabilities(y, self.classes)
        return torch.lerp(x[partner], x, kept), torch.lerp(y[partner], y, kept)
