"""What the methods that move images towards a target class share: parameters, targets, steps and their lengths."""

from typing import Literal, TypeVar

from torch import Tensor

from bench.api import Budget, CraftContext, CraftData, Ensemble, Field, Method, Params, Rounding, SepbenchError


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


P_co = TypeVar("P_co", bound=TargetedParams, covariant=True)


class TargetedMethod(Method[P_co]):
    """Base of the targeted methods: no image's perturbation depends on another image."""

    per_sample = True

    @property
    def rounding(self) -> Rounding:
        """How the harness turns the crafted images into bytes."""
        return "truncate" if self.params.truncate else "nearest"

    def reach(self, budget: Budget) -> float | None:
        """Return the length of all steps together, as a share of the budget."""
        return self.params.steps * step_length(budget, self.params) / budget.radius


def targets(data: CraftData, shift: int | None) -> Tensor:
    """Return the target class of each image, int64 [N]: the true class plus `shift`, or plus half the classes."""
    return shifted(data.y, shift or data.classes // 2, data.classes)


def shifted(y: Tensor, shift: int, classes: int) -> Tensor:
    """Return another class for each true one, int64 [N]; raises `SepbenchError` where it would be the same one."""
    if classes < 2:
        raise SepbenchError("images move towards another class than their own, and there is one: protect at least two")
    if shift % classes == 0:
        raise SepbenchError(
            f"images move towards the class that is shift = {shift} after their own, and of {classes} classes that is "
            f"their own: choose a shift that {classes} does not divide"
        )
    return (y + shift) % classes


def step_length(budget: Budget, params: TargetedParams) -> float:
    """Return the length of a step on the [0, 1] scale."""
    if budget.norm == "linf":
        return (params.step_size or 1.0) / 255
    return params.step_size or 2.5 * budget.radius / params.steps


def descend(ensemble: Ensemble, data: CraftData, budget: Budget, ctx: CraftContext, params: TargetedParams) -> Tensor:
    """Return the images, [N, 3, H, W], after `steps` steps towards the target class along the mean gradient."""
    target, length = targets(data, params.shift), step_length(budget, params)
    x = data.x
    for _ in ctx.progress(range(params.steps)):
        x = budget.project(data.x, x - length * budget.direction(ensemble.mean_gradient(x, target)))
    return x
