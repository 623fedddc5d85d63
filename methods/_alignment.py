"""What the methods that align the features of checkpoints share: parameters, what they align to, ensembles."""

from collections.abc import Callable, Iterator
from copy import deepcopy

from torch import Tensor

from bench.api import CraftContext, CraftData, Ensemble, FeatureAlignment, Field, Frozen, Network, class_means
from methods._batches import batches
from methods._self_ensemble import SelfEnsembleParams

Data = Callable[[], Iterator[CraftData]]

_RELEASED_BATCH = 5_000


class AlignedParams(SelfEnsembleParams):
    """Parameters of every method that aligns the features of checkpoints."""

    train_mode_means: bool = Field(
        False,
        description="as released: the first checkpoint's class means in train mode, which alters it for step 0",
    )


def revision_of(params: AlignedParams) -> int:
    """Return the `Method.revision`: 2 with means in train mode, which were once taken over smaller batches."""
    return 2 if params.train_mode_means else 1


def align(ctx: CraftContext, data: Data, params: AlignedParams) -> tuple[FeatureAlignment, Ensemble, Ensemble]:
    """Return the alignment to the clean features, and the ensembles that descend on it: in step 0, and from then on.

    The two are one, but for `train_mode_means`.
    """
    alignment = FeatureAlignment(clean_means(ctx, data))
    later = Ensemble(ctx.networks, alignment, params.precision)
    if not params.train_mode_means:
        return alignment, later, later
    altered, alignment.means[0] = _means_in_train_mode(ctx.networks[0], data)
    return alignment, later.with_network(0, altered), later


def clean_means(ctx: CraftContext, data: Data) -> list[Tensor]:
    """Return the mean clean features of each class, [classes, D], of every network."""
    return [class_means(Frozen(network), data()) for network in ctx.progress(ctx.networks)]


def _means_in_train_mode(network: Network, data: Data) -> tuple[Network, Tensor]:
    """Return the network that batches of 5,000, normalised by their own statistics, leave behind, and their means."""
    altered = deepcopy(network)
    means = class_means(altered.train(), batches(data(), _RELEASED_BATCH), whole=True)
    return altered.eval(), means
