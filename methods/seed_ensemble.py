"""A conventional ensemble: one architecture, trained independently from different seeds."""

from bench.api import METHODS, Field, Surrogate
from methods._independent import IndependentParams, IndependentRuns


class SeedEnsembleParams(IndependentParams):
    """Parameters of an ensemble of seeds."""

    runs: int = Field(5, ge=1, description="independent training runs; their seeds count up from the surrogate seed")
    network: str | None = Field(None, description="architecture; the experiment's surrogate if unset")


@METHODS.register("seed-ensemble")
class SeedEnsemble(IndependentRuns):
    """Targeted PGD on the mean gradient of independent runs of one architecture, each after its last epoch.

    The baseline of Chen et al., ICLR 2023: as many training runs as networks, where SEP needs one.
    """

    Params = SeedEnsembleParams

    def needs(self) -> list[Surrogate]:
        """Return the runs, of consecutive seeds."""
        return [Surrogate(network=self.params.network, seed=seed) for seed in range(self.params.runs)]
