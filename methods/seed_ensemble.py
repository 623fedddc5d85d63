"""A conventional ensemble: one architecture, trained independently from different seeds."""

from collections.abc import Callable, Iterator

from torch import Tensor

from bench.api import METHODS, Budget, CraftContext, CraftData, Field, Surrogate
from methods._independent import IndependentParams, forward_passes, freeze
from methods._targeted import TargetedMethod, descend


class SeedEnsembleParams(IndependentParams):
    """Parameters of an ensemble of seeds."""

    runs: int = Field(5, ge=1, description="independent training runs, others for each surrogate seed")
    network: str | None = Field(None, description="architecture; the experiment's surrogate if unset")


@METHODS.register("seed-ensemble")
class SeedEnsemble(TargetedMethod[SeedEnsembleParams]):
    """Targeted PGD on the mean gradient of independent runs of one architecture, each after its last epoch.

    The baseline of Chen et al., ICLR 2023: as many training runs as networks, where SEP needs one.
    """

    cite = "chen2023selfensemble"

    def needs(self) -> list[Surrogate]:
        """Return the runs, of consecutive seeds."""
        return [Surrogate(network=self.params.network, seed=seed) for seed in range(self.params.runs)]

    def passes(self) -> float:
        """Return runs times steps."""
        return self.params.runs * self.params.steps

    def forward_passes(self) -> float:
        """Return one for the features of each network, where they are aligned."""
        return forward_passes(self.params.runs, self.params)

    def prepare(self, data: Callable[[], Iterator[CraftData]], ctx: CraftContext) -> None:
        """Freeze the networks; for feature alignment, average the clean features of each class."""
        self.ensemble = freeze(ctx, data, self.params)

    def craft(self, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        """Step along the mean gradient of the runs, `steps` times."""
        return descend(self.ensemble, data, budget, ctx, self.params)
