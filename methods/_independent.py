"""What conventional ensembles share: independently trained networks, each after its last epoch, and their loss."""

from collections.abc import Callable, Iterator
from typing import Literal

from bench.api import CraftContext, CraftData, Ensemble, FeatureAlignment, Field
from methods._alignment import clean_means
from methods._targeted import TargetedParams


class IndependentParams(TargetedParams):
    """Parameters of a conventional ensemble."""

    loss: Literal["cross-entropy", "feature-alignment"] = Field(
        "cross-entropy", description="cross-entropy or feature-alignment"
    )


def forward_passes(networks: int, params: IndependentParams) -> float:
    """Return one for the features of each network, where they are aligned."""
    return networks if params.loss == "feature-alignment" else 0


def freeze(ctx: CraftContext, data: Callable[[], Iterator[CraftData]], params: IndependentParams) -> Ensemble:
    """Return the networks of all runs as one ensemble, which descends on the loss that is asked for."""
    if params.loss == "feature-alignment":
        return Ensemble(ctx.networks, FeatureAlignment(clean_means(ctx, data)), params.precision)
    return Ensemble(ctx.networks, precision=params.precision)
