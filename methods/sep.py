"""Self-Ensemble Protection: the checkpoints of one training run as an ensemble.

Chen et al., "Self-Ensemble Protection: Training Checkpoints Are Good Data Protectors", ICLR 2023.
"""

from collections.abc import Callable, Iterator

from torch import Tensor

from bench.api import METHODS, Budget, CraftContext, CraftData, Ensemble, Field, Surrogate
from methods._self_ensemble import SelfEnsembleParams, one_run
from methods._targeted import TargetedMethod, descend


class SEPParams(SelfEnsembleParams):
    """Parameters of SEP."""


class SEPFastParams(SEPParams):
    """Parameters of SEP with few checkpoints."""

    checkpoints: int = Field(3, ge=1, description="how many checkpoints of the one run")


@METHODS.register("sep")
class SEP(TargetedMethod[SEPParams]):
    """Self-Ensemble Protection: signed steps along the mean gradient of a run's checkpoints.

    Every image is moved towards the class half the number of classes ahead, by targeted PGD on the raw gradients of
    cross-entropy averaged over the checkpoints.
    """

    cite = "chen2023selfensemble"
    version = 2

    def needs(self) -> list[Surrogate]:
        """Return one run with the checkpoints that are asked for."""
        return one_run(self.params)

    def passes(self) -> float:
        """Return checkpoints times steps."""
        return self.params.count * self.params.steps

    def prepare(self, data: Callable[[], Iterator[CraftData]], ctx: CraftContext) -> None:
        """Freeze the checkpoints."""
        self.ensemble = Ensemble(ctx.networks, precision=self.params.precision)

    def craft(self, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        """Step along the mean gradient of the checkpoints, `steps` times."""
        return descend(self.ensemble, data, budget, ctx, self.params)


@METHODS.register("sep-fast")
class SEPFast(TargetedMethod[SEPFastParams]):
    """SEP with three checkpoints in place of thirty: a tenth of the passes for about the same protection.

    On thin networks and 5,000 images three victim seeds do not tell it from fifteen checkpoints with as many steps, at
    linf-8 and at linf-4 (`cifar10-cpu-passes`, `cifar10-cpu-passes-linf-4`).
    """

    cite = "chen2023selfensemble"
    version = SEP.version

    def needs(self) -> list[Surrogate]:
        """Return one run with the checkpoints that are asked for."""
        return one_run(self.params)

    def passes(self) -> float:
        """Return checkpoints times steps."""
        return self.params.count * self.params.steps

    def prepare(self, data: Callable[[], Iterator[CraftData]], ctx: CraftContext) -> None:
        """Freeze the checkpoints."""
        self.ensemble = Ensemble(ctx.networks, precision=self.params.precision)

    def craft(self, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        """Do what SEP does."""
        return descend(self.ensemble, data, budget, ctx, self.params)
