"""What conventional ensembles share: independently trained networks, each after its last epoch."""

from bench.api import Field
from methods._targeted import LossName, TargetedMethod, TargetedParams


class IndependentParams(TargetedParams):
    """Parameters of a conventional ensemble."""

    loss: LossName = Field("cross-entropy", description="cross-entropy or feature-alignment")


class IndependentRuns(TargetedMethod):
    """Base of the conventional ensembles; `needs` says which runs."""

    cite = "chen2023selfensemble"

    @property
    def loss(self) -> LossName:
        """What to descend on."""
        loss: LossName = self.params.loss
        return loss

    def passes(self) -> float:
        """Return runs times steps."""
        return float(len(self.needs()) * self.params.steps)
