"""Noise of the full budget: the control that must not protect."""

import torch
from torch import Tensor

from bench.api import METHODS, Budget, CraftContext, CraftData, Method


@METHODS.register("random-noise")
class RandomNoise(Method):
    """Noise of the full budget: random signs (linf), a random direction (l2), random pixels in extreme colours (l0)."""

    norms = ("linf", "l2", "l0")

    def craft(self, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        """Add the largest noise the budget allows, before clipping to [0, 1]."""
        noise = torch.randn(data.x.shape, generator=ctx.generator()).to(data.x.device)
        return budget.project(data.x, data.x + budget.radius * budget.direction(noise))
