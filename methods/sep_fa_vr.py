"""SEP-FA with stochastic variance reduction across checkpoints.

Chen et al., "Self-Ensemble Protection: Training Checkpoints Are Good Data Protectors", ICLR 2023.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from bench.api import METHODS, Budget, CraftContext, CraftData, FeatureAlignment, Field, Surrogate
from methods._alignment import AlignedParams, align, revision_of
from methods._self_ensemble import one_run
from methods._targeted import TargetedMethod, step_length, targets


class SEPFAVRParams(AlignedParams):
    """Parameters of SEP-FA-VR."""

    checkpoints: int = Field(15, ge=1, description="how many checkpoints of the one run")
    inner_steps: int = Field(15, ge=1, description="draws of a checkpoint within a step; the released script has 16")
    last_means: bool = Field(
        False, description="as released: inner steps align to the last checkpoint's means, whichever is drawn"
    )


@METHODS.register("sep-fa-vr")
class SEPFAVR(TargetedMethod[SEPFAVRParams]):
    """SEP-FA with variance reduction: inner steps on one drawn checkpoint, corrected by the mean gradient.

    An inner step adds to a running sum the drawn checkpoint's gradient at the inner iterate, minus what that
    checkpoint's gradient at the outer iterate differs from the mean: at the outer iterate the expectation over the
    draw is the mean gradient. All images share the draws.
    """

    cite = "chen2023selfensemble"

    @property
    def revision(self) -> int:
        """The version of the parameters that are set."""
        return revision_of(self.params)

    def needs(self) -> list[Surrogate]:
        """Return one run with the checkpoints that are asked for."""
        return one_run(self.params)

    def passes(self) -> float:
        """Return steps times the sum of checkpoints and inner steps."""
        return self.params.steps * (self.params.count + self.params.inner_steps)

    def forward_passes(self) -> float:
        """Return one for the features of each checkpoint, and one for those in train mode."""
        return self.params.count + self.params.train_mode_means

    def prepare(self, data: Callable[[], Iterator[CraftData]], ctx: CraftContext) -> None:
        """Freeze the checkpoints and average the clean features of each class."""
        alignment, self.first_step, self.ensemble = align(ctx, data, self.params)
        last = FeatureAlignment([alignment.means[-1]] * len(alignment.means))
        self.inner_loss = last if self.params.last_means else alignment

    def craft(self, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        """Run the inner steps of each step, then step along their running sum."""
        target, length = targets(data, self.params.shift), step_length(budget, self.params)
        draws = torch.randint(
            self.params.count, (self.params.steps, self.params.inner_steps), generator=ctx.generator("checkpoints")
        ).tolist()
        x = data.x
        for step in ctx.progress(range(self.params.steps)):
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
        return self.ensemble.gradient(drawn, v, target, self.inner_loss)
