"""SEP with feature alignment: towards the mean clean features of the target class.

Chen et al., "Self-Ensemble Protection: Training Checkpoints Are Good Data Protectors", ICLR 2023.
"""

from collections.abc import Callable, Iterator

from torch import Tensor

from bench.api import METHODS, Budget, CraftContext, CraftData, Surrogate
from methods._alignment import AlignedParams, align, revision_of
from methods._self_ensemble import one_run
from methods._targeted import TargetedMethod, step_length, targets


class SEPFAParams(AlignedParams):
    """Parameters of SEP-FA."""


@METHODS.register("sep-fa")
class SEPFA(TargetedMethod[SEPFAParams]):
    """SEP with feature alignment: features move to the mean clean features of the target class.

    The loss of a checkpoint is the mean squared error between an image's penultimate features and the mean of the
    clean training images of the target class, computed once per checkpoint without augmentation.
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
        """Return checkpoints times steps."""
        return self.params.count * self.params.steps

    def forward_passes(self) -> float:
        """Return one for the features of each checkpoint, and one for those in train mode."""
        return self.params.count + self.params.train_mode_means

    def prepare(self, data: Callable[[], Iterator[CraftData]], ctx: CraftContext) -> None:
        """Freeze the checkpoints and average the clean features of each class."""
        _, self.first_step, self.ensemble = align(ctx, data, self.params)

    def craft(self, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        """Step along the mean gradient of the checkpoints, `steps` times."""
        target, length = targets(data, self.params.shift), step_length(budget, self.params)
        x = data.x
        for step in ctx.progress(range(self.params.steps)):
            gradient = self.gradient(step, x, target)
            x = budget.project(data.x, x - length * budget.direction(gradient))
        return x

    def gradient(self, step: int, x: Tensor, target: Tensor) -> Tensor:
        """Return the mean gradient of the checkpoints, as they are at a 0-based step."""
        return (self.first_step if step == 0 else self.ensemble).mean_gradient(x, target)
