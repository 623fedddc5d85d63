"""What the methods that descend towards a target class on an ensemble share: parameters, targets, steps."""

from collections.abc import Callable, Iterator
from typing import Literal

from torch import Tensor

from bench.api import Budget, CraftContext, CraftData, Field, Method, Network, Params, Rounding, precision
from bench.engine.ensemble import Ensemble, FeatureAlignment, class_means
from bench.engine.frozen import Frozen

LossName = Literal["cross-entropy", "feature-alignment"]


class TargetedParams(Params):
    """Parameters of every targeted method."""

    steps: int = Field(30, ge=1, description="gradient steps")
    step_size: float | None = Field(
        None, gt=0, description="levels of 1/255 (linf) or [0, 1] scale (l2); unset: 1 level, 2.5 radius / steps"
    )
    shift: int | None = Field(None, ge=1, description="target class y + shift; half the number of classes if unset")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of the networks; auto is bf16 on GPUs that have it"
    )
    truncate: bool = Field(False, description="as released: cut to uint8 instead of rounding; leaves the budget")


class TargetedMethod(Method):
    """Base of the methods that move every image towards its target class along the gradients of an ensemble."""

    per_sample = True

    @property
    def loss(self) -> LossName:
        """What to descend on."""
        return "cross-entropy"

    @property
    def rounding(self) -> Rounding:
        """How the harness turns the crafted images into bytes."""
        return "truncate" if self.params.truncate else "nearest"

    def prepare(self, data: Callable[[], Iterator[CraftData]], ctx: CraftContext) -> None:
        """Freeze the networks; for feature alignment, average the clean features of each class."""
        networks = [network for run in ctx.surrogates for network in run]
        self.ensemble = Ensemble(networks, precision=precision(ctx.device, self.params.precision))
        if self.loss == "feature-alignment":
            self.ensemble.loss = FeatureAlignment(self.class_means(networks, data))

    def class_means(self, networks: list[Network], data: Callable[[], Iterator[CraftData]]) -> list[Tensor]:
        """Return the mean clean features of each class, [classes, D], of every network."""
        return [class_means(Frozen(network), data()) for network in networks]

    def targets(self, data: CraftData) -> Tensor:
        """Return the target class of each image, int64 [N]."""
        return (data.y + (self.params.shift or data.classes // 2)) % data.classes

    def step_length(self, budget: Budget) -> float:
        """Return the length of a step on the [0, 1] scale."""
        if budget.norm == "linf":
            return float(self.params.step_size or 1.0) / 255
        return float(self.params.step_size or 2.5 * budget.radius / self.params.steps)

    def gradient(self, step: int, x: Tensor, target: Tensor) -> Tensor:
        """Return what the 0-based `step` descends along, [N, 3, H, W]."""
        return self.ensemble.mean_gradient(x, target)

    def craft(self, data: CraftData, budget: Budget | None, ctx: CraftContext) -> Tensor:
        """Step along the mean gradient of the ensemble, `steps` times."""
        assert budget is not None
        target, length = self.targets(data), self.step_length(budget)
        x = data.x
        for step in ctx.progress(range(self.params.steps)):
            gradient = self.gradient(step, x, target)
            x = budget.project(data.x, x - length * budget.direction(gradient))
        return x
