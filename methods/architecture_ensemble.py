"""A conventional ensemble: networks of different architectures, trained independently."""

from bench.api import METHODS, Field, Surrogate
from methods._targeted import LossName, TargetedMethod, TargetedParams


class ArchitectureEnsembleParams(TargetedParams):
    """Parameters of an ensemble of architectures."""

    networks: tuple[str, ...] = Field(
        ("resnet18", "senet18", "vgg16", "densenet121", "googlenet"),
        min_length=1,
        strict=False,
        description="architectures, one independently trained network each",
    )
    loss: LossName = Field("cross-entropy", description="cross-entropy or feature-alignment")


@METHODS.register("architecture-ensemble")
class ArchitectureEnsemble(TargetedMethod):
    """Targeted PGD on the mean gradient of different architectures, each after its last epoch.

    The baseline of Chen et al., ICLR 2023: as many training runs as networks, where SEP needs one.
    """

    cite = "chen2023selfensemble"
    Params = ArchitectureEnsembleParams

    @property
    def loss(self) -> LossName:
        """What to descend on."""
        loss: LossName = self.params.loss
        return loss

    def needs(self) -> list[Surrogate]:
        """Return one run of each architecture."""
        return [Surrogate(network=network) for network in self.params.networks]

    def passes(self) -> float:
        """Return networks times steps."""
        return float(len(self.params.networks) * self.params.steps)
