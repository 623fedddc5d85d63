"""A conventional ensemble: networks of different architectures, trained independently."""

from collections.abc import Callable, Iterator

from torch import Tensor

from bench.api import METHODS, Budget, CraftContext, CraftData, Field, Surrogate
from methods._independent import IndependentParams, forward_passes, freeze
from methods._targeted import TargetedMethod, descend


class ArchitectureEnsembleParams(IndependentParams):
    """Parameters of an ensemble of architectures."""

    networks: tuple[str, ...] = Field(
        ("resnet18", "senet18", "vgg16", "densenet121", "googlenet"),
        min_length=1,
        strict=False,
        description="architectures, one independently trained network each",
    )


@METHODS.register("architecture-ensemble")
class ArchitectureEnsemble(TargetedMethod[ArchitectureEnsembleParams]):
    """Targeted PGD on the mean gradient of different architectures, each after its last epoch.

    The baseline of Chen et al., ICLR 2023: as many training runs as networks, where SEP needs one.
    """

    cite = "chen2023selfensemble"

    def needs(self) -> list[Surrogate]:
        """Return one run of each architecture."""
        return [Surrogate(network=network) for network in self.params.networks]

    def passes(self) -> float:
        """Return architectures times steps."""
        return len(self.params.networks) * self.params.steps

    def forward_passes(self) -> float:
        """Return one for the features of each network, where they are aligned."""
        return forward_passes(len(self.params.networks), self.params)

    def prepare(self, data: Callable[[], Iterator[CraftData]], ctx: CraftContext) -> None:
        """Freeze the networks; for feature alignment, average the clean features of each class."""
        self.ensemble = freeze(ctx, data, self.params)

    def craft(self, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        """Step along the mean gradient of the networks, `steps` times."""
        return descend(self.ensemble, data, budget, ctx, self.params)
