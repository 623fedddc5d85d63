"""A conventional ensemble: networks of different architectures, trained independently."""

from bench.api import METHODS, Field, Surrogate
from methods._independent import IndependentParams, IndependentRuns


class ArchitectureEnsembleParams(IndependentParams):
    """Parameters of an ensemble of architectures."""

    networks: tuple[str, ...] = Field(
        ("resnet18", "senet18", "vgg16", "densenet121", "googlenet"),
        min_length=1,
        strict=False,
        description="architectures, one independently trained network each",
    )


@METHODS.register("architecture-ensemble")
class ArchitectureEnsemble(IndependentRuns):
    """Targeted PGD on the mean gradient of different architectures, each after its last epoch.

    The baseline of Chen et al., ICLR 2023: as many training runs as networks, where SEP needs one.
    """

    Params = ArchitectureEnsembleParams

    def needs(self) -> list[Surrogate]:
        """Return one run of each architecture."""
        return [Surrogate(network=network) for network in self.params.networks]
