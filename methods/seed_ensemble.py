"""A conventional ensemble: one architecture, trained independently from different seeds."""

from bench.api import METHODS, Field, Surrogate
from methods._targeted import LossName, TargetedMethod, TargetedParams


class SeedEnsembleParams(TargetedParams):
    """Parameters of an ensemble of seeds."""

    runs: int = Field(5, ge=1, description="independent training runs; their seeds count up from the surrogate seed")
    network: str | None = Field(None, description="architecture; the experiment's surrogate if unset")
    loss: LossName = Field("cross-entropy", description="cross-entropy or feature-alignment")


@METHODS.register("seed-ensemble")
class SeedEnsemble(TargetedMethod):
    """Targeted PGD on the mean gradient of independent runs of one architecture, each after its last epoch.

    The baseline of Chen et al., ICLR 2023: as many training runs as networks, where SEP needs one.
    """

    cite = "chen2023selfensemble"
    Params = SeedEnsembleParams

    @property
    def loss(self) -> LossName:
        """What to descend on."""
        loss: LossName = self.params.loss
        return loss

    def needs(self) -> list[Surrogate]:
        """Return the runs, of consecutive seeds."""
        return [Surrogate(network=self.params.network, seed=seed) for seed in range(self.params.runs)]

    def passes(self) -> float:
        """Return runs times steps."""
        return float(self.params.runs * self.params.steps)
