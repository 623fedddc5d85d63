"""What conventional ensembles share: independently trained networks, each after its last epoch, and PGD on them."""

from collections.abc import Callable, Iterator
from typing import Literal

from torch import Tensor

from bench.api import Budget, CraftContext, CraftData, Ensemble, FeatureAlignment, Field
from methods._alignment import clean_means
from methods._targeted import TargetedParams, step_length, targets


class IndependentParams(TargetedParams):
    """Parameters of a conventional ensemble."""

    loss: Literal["cross-entropy", "feature-alignment"] = Field(
        "cross-entropy", description="cross-entropy or feature-alignment"
    )


def freeze(ctx: CraftContext, data: Callable[[], Iterator[CraftData]], params: IndependentParams) -> Ensemble:
    """Return the networks of all runs as one ensemble, which descends on the loss that is asked for."""
    if params.loss == "feature-alignment":
        return Ensemble(ctx.networks, FeatureAlignment(clean_means(ctx.networks, data)), params.precision)
    return Ensemble(ctx.networks, precision=params.precision)


def descend(
    ensemble: Ensemble, data: CraftData, budget: Budget, ctx: CraftContext, params: IndependentParams
) -> Tensor:
    """Return the images, [N, 3, H, W], after `steps` steps towards the target class along the mean gradient."""
    target, length = targets(data, params.shift), step_length(budget, params)
    x = data.x
    for _ in ctx.progress(range(params.steps)):
        x = budget.project(data.x, x - length * budget.direction(ensemble.mean_gradient(x, target)))
    return x
