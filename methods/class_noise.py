"""One random pattern for each class: the cheapest protection there is, and the control for class-wise noise.

Tao et al., "Better Safe Than Sorry: Preventing Delusive Adversaries with Adversarial Training", NeurIPS 2021, where it
is P5.
"""

import torch
from torch import Tensor

from bench.api import METHODS, Budget, CraftContext, CraftData, Method


@METHODS.register("class-noise")
class ClassNoise(Method):
    """One random pattern of the full budget for each class: signs (linf), a direction (l2), pixels (l0).

    Every image of a class gets the same pattern, drawn from the craft seed, and is clipped to [0, 1]. Published with
    l2-0.5, as P5.
    """

    norms = ("linf", "l2", "l0")
    per_sample = True
    cite = "tao2021better"

    def craft(self, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        """Add to each image the pattern of its class."""
        drawn = torch.randn(data.classes, *data.x.shape[1:], generator=ctx.generator())
        patterns = budget.radius * budget.direction(drawn).to(data.x.device)
        return budget.project(data.x, data.x + patterns[data.y])
