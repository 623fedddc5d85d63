"""SEP with feature alignment: towards the mean clean features of the target class.

Chen et al., "Self-Ensemble Protection: Training Checkpoints Are Good Data Protectors", ICLR 2023.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace

from torch import Tensor

from bench.api import METHODS, CraftContext, CraftData, Field, Network, precision
from bench.engine.ensemble import Ensemble, FeatureAlignment, class_means
from methods._targeted import LossName
from methods.sep import SEP, SEPParams

_RELEASED_BATCH = 128


class SEPFAParams(SEPParams):
    """Parameters of SEP-FA."""

    train_mode_means: bool = Field(
        False,
        description="as released: the first checkpoint's class means in train mode, which alters it for step 0",
    )


@METHODS.register("sep-fa")
class SEPFA(SEP):
    """SEP with feature alignment: features move to the mean clean features of the target class.

    The loss of a checkpoint is the mean squared error between an image's penultimate features and the mean of the
    clean training images of the target class, computed once per checkpoint without augmentation.
    """

    version = 1
    Params = SEPFAParams

    @property
    def loss(self) -> LossName:
        """What to descend on."""
        return "feature-alignment"

    def prepare(self, data: Callable[[], Iterator[CraftData]], ctx: CraftContext) -> None:
        """Freeze the checkpoints and average the clean features of each class."""
        super().prepare(data, ctx)
        self.first_step = self.ensemble
        if self.params.train_mode_means:
            altered, means = _means_in_train_mode(ctx.surrogates[0][0], data)
            assert isinstance(self.ensemble.loss, FeatureAlignment)
            self.ensemble.loss.means[0] = means
            networks = [altered, *ctx.surrogates[0][1:]]
            self.first_step = Ensemble(networks, self.ensemble.loss, precision(ctx.device, self.params.precision))

    def gradient(self, step: int, x: Tensor, target: Tensor) -> Tensor:
        """Return the mean gradient of the checkpoints."""
        return (self.first_step if step == 0 else self.ensemble).mean_gradient(x, target)


def _means_in_train_mode(network: Network, data: Callable[[], Iterator[CraftData]]) -> tuple[Network, Tensor]:
    """Return class means from batches of 128 normalised by their own statistics, and the network they leave behind."""
    altered = deepcopy(network)
    batches = (
        replace(part, x=x, y=y)
        for part in data()
        for x, y in zip(part.x.split(_RELEASED_BATCH), part.y.split(_RELEASED_BATCH), strict=True)
    )
    means = class_means(altered.train(), batches)
    return altered.eval(), means
