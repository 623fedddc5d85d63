"""What the methods on the checkpoints of one training run share: which checkpoints, and how many."""

from bench.api import Field, Placement, Surrogate
from methods._targeted import TargetedParams


class SelfEnsembleParams(TargetedParams):
    """Parameters of every method on the checkpoints of one run."""

    checkpoints: int = Field(30, ge=1, description="how many checkpoints of the one run")
    placement: Placement = Field(
        "equidistant", description="which: equidistant, first, last; improving is as released and sees test images"
    )
    epochs: tuple[int, ...] | None = Field(
        None, min_length=1, strict=False, description="0-based epochs, instead of checkpoints and placement"
    )
    network: str | None = Field(None, description="architecture of the surrogate; the experiment's if unset")

    @property
    def count(self) -> int:
        """How many checkpoints are used."""
        return len(self.epochs) if self.epochs else self.checkpoints


def one_run(params: SelfEnsembleParams) -> list[Surrogate]:
    """Return one training run with the checkpoints that are asked for."""
    return [
        Surrogate(checkpoints=params.checkpoints, placement=params.placement, at=params.epochs, network=params.network)
    ]
