"""SEP-FA with stochastic variance reduction across checkpoints.

Chen et al., "Self-Ensemble Protection: Training Checkpoints Are Good Data Protectors", ICLR 2023.
"""

import torch
from torch import Tensor

from bench.api import METHODS, Budget, CraftContext, CraftData, Field
from bench.engine.ensemble import FeatureAlignment
from methods.sep_fa import SEPFA, SEPFAParams


class SEPFAVRParams(SEPFAParams):
    """Parameters of SEP-FA-VR."""

    checkpoints: int = Field(15, ge=1, description="how many checkpoints of the one run")
    inner_steps: int = Field(15, ge=1, description="draws of a checkpoint within a step; the released script has 16")
    last_means: bool = Field(
        False, description="as released: inner steps align to the last checkpoint's means, whichever is drawn"
    )


@METHODS.register("sep-fa-vr")
class SEPFAVR(SEPFA):
    """SEP-FA with variance reduction: inner steps on one drawn checkpoint, corrected by the mean gradient.

    An inner step adds to a running sum the drawn checkpoint's gradient at the inner iterate, minus what that
    checkpoint's gradient at the outer iterate differs from the mean: at the outer iterate the expectation over the
    draw is the mean gradient. All images share the draws.
    """

    version = 1
    Params = SEPFAVRParams

    def passes(self) -> float:
        """Return steps times the sum of checkpoints and inner steps."""
        return float(self.params.steps * (self.checkpoints + self.params.inner_steps))

    def craft(self, data: CraftData, budget: Budget | None, ctx: CraftContext) -> Tensor:
        """Run the inner steps of each step, then step along their running sum."""
        assert budget is not None
        params, target, length = self.params, self.targets(data), self.step_length(budget)
        draws = torch.randint(
            self.checkpoints, (params.steps, params.inner_steps), generator=ctx.generator("checkpoints")
        ).tolist()
        x = data.x
        for step in ctx.progress(range(params.steps)):
            outer = self.first_step if step == 0 else self.ensemble
            gradients = torch.stack([outer.gradient(index, x, target) for index in range(len(outer))])
            excess = gradients - gradients.mean(0)
            v, total = x, torch.zeros_like(x)
            for drawn in draws[step]:
                total += self.inner_gradient(drawn, v, target) - excess[drawn]
                v = budget.project(data.x, v - length * budget.direction(total))
            x = budget.project(data.x, x - length * budget.direction(total))
        return x

    def inner_gradient(self, drawn: int, v: Tensor, target: Tensor) -> Tensor:
        """Return the drawn checkpoint's gradient at the inner iterate."""
        if not self.params.last_means:
            return self.ensemble.gradient(drawn, v, target)
        assert isinstance(self.ensemble.loss, FeatureAlignment)
        last = FeatureAlignment([self.ensemble.loss.means[-1]] * len(self.ensemble))
        return self.ensemble.gradient(drawn, v, target, last)
