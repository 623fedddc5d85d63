"""Self-Ensemble Protection: the checkpoints of one training run as an ensemble.

Chen et al., "Self-Ensemble Protection: Training Checkpoints Are Good Data Protectors", ICLR 2023.
"""

from bench.api import METHODS, Field, Placement, Surrogate
from methods._targeted import TargetedMethod, TargetedParams


class SEPParams(TargetedParams):
    """Parameters of SEP."""

    checkpoints: int = Field(30, ge=1, description="how many checkpoints of the one run")
    placement: Placement = Field(
        "equidistant", description="which: equidistant, first, last; improving is as released and sees test images"
    )
    epochs: tuple[int, ...] | None = Field(
        None, min_length=1, strict=False, description="0-based epochs, instead of checkpoints and placement"
    )
    network: str | None = Field(None, description="architecture of the surrogate; the experiment's if unset")


@METHODS.register("sep")
class SEP(TargetedMethod):
    """Self-Ensemble Protection: signed steps along the mean gradient of a run's checkpoints.

    Every image is moved towards the class half the number of classes ahead, by targeted PGD on the raw gradients of
    cross-entropy averaged over the checkpoints.
    """

    cite = "chen2023selfensemble"
    version = 2
    Params = SEPParams

    def needs(self) -> list[Surrogate]:
        """Return one run with the checkpoints that are asked for."""
        params = self.params
        return [
            Surrogate(
                checkpoints=params.checkpoints, placement=params.placement, at=params.epochs, network=params.network
            )
        ]

    @property
    def checkpoints(self) -> int:
        """How many checkpoints are used."""
        return len(self.params.epochs) if self.params.epochs else int(self.params.checkpoints)

    def passes(self) -> float:
        """Return checkpoints times steps."""
        return float(self.checkpoints * self.params.steps)
