"""Noise of the full budget: the control that must not protect."""

import torch
from torch import Tensor

from bench.api import METHODS, Budget, CraftContext, CraftData, Method


@METHODS.register("random-noise")
class RandomNoise(Method):
    """Noise of the full budget, drawn anew for every pixel: random signs (linf) or a random direction (l2)."""

    def craft(self, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        """Add the largest noise the budget allows, before clipping to [0, 1]."""
        noise = torch.randn(data.x.shape, generator=ctx.generator()).to(data.x.device)
        return budget.project(data.x, data.x + budget.radius * budget.direction(noise))
