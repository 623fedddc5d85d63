"""Targeted adversarial poisoning: adversarial examples of a trained network as training images.

Fowl et al., "Adversarial Examples Make Strong Poisons", NeurIPS 2021.
"""

from collections.abc import Callable, Iterator
from typing import ClassVar, Literal, TypeVar

from torch import Tensor

from bench.api import METHODS, Budget, CraftContext, CraftData, Ensemble, Field, Method, Params, Surrogate
from methods._adversarial_poisons import Training, trained
from methods._pgd import PGD, ShiftsAndFlips, colour_of_zero
from methods._targeted import targets


class TAPParams(Params):
    """Parameters of the attack; the defaults are the published ones."""

    steps: int = Field(250, ge=1, description="gradient steps from each start")
    step_fraction: float = Field(0.05, gt=0, description="step size as a share of the budget")
    restarts: int = Field(8, ge=1, description="random starts, of which each image keeps the best")
    surrogate: Training = Field(
        "published", description="trained for 40 epochs as published, or as the experiment's recipe says"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of the networks; auto is bf16 on GPUs that have it"
    )


class TargetedTAPParams(TAPParams):
    """Parameters of the targeted attack."""

    shift: int = Field(1, ge=1, description="target class y + shift")


P_co = TypeVar("P_co", bound=TAPParams, covariant=True)


class _Adversarial(Method[P_co]):
    """Adversarial examples of one network that was trained on the clean images, found through random views."""

    per_sample = True
    cite = "fowl2021adversarial"
    ascend: ClassVar[bool] = False

    def needs(self) -> list[Surrogate]:
        """Return one run, trained as published or as everything else."""
        return trained(self.params.surrogate)

    def passes(self) -> float:
        """Return steps times restarts."""
        return self.params.steps * self.params.restarts

    def prepare(self, data: Callable[[], Iterator[CraftData]], ctx: CraftContext) -> None:
        """Freeze the network."""
        self.ensemble = Ensemble(ctx.networks, precision=self.params.precision)
        self.views = ShiftsAndFlips(colour_of_zero(ctx.networks[-1]))

    def craft(self, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        """Run PGD from each start and keep, for each image, the run that ends best."""
        length = self.params.step_fraction * budget.radius
        pgd = PGD(self.params.steps, length, "normal", self.params.restarts, self.views, self.ascend)
        return pgd(data, self._labels(data), self.ensemble, budget, ctx)

    def _labels(self, data: CraftData) -> Tensor:
        return data.y


@METHODS.register("tap")
class TAP(_Adversarial[TargetedTAPParams]):
    """Moves each image to where a trained network takes it for the next class: PGD from random starts.

    The published code keeps the restart whose last batches had the lowest mean loss; here each image keeps the start
    that ends with its own lowest loss, without a random view, so that the result does not depend on batches.
    """

    def _labels(self, data: CraftData) -> Tensor:
        return targets(data, self.params.shift)


@METHODS.register("tap-untargeted")
class UntargetedTAP(_Adversarial[TAPParams]):
    """Moves each image to where a trained network no longer takes it for its class: PGD from random starts.

    The authors call it more brittle than the targeted one: strength depends on the initialisation, and they release one
    good set.
    """

    ascend = True
