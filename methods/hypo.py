"""Hypocritical perturbations: images that an adversarially trained network finds too easy.

Tao et al., "Can Adversarial Training Be Manipulated By Non-Robust Features?", NeurIPS 2022.
"""

from collections.abc import Callable, Iterator
from typing import Literal

from torch import Tensor

from bench.api import METHODS, Budget, CraftContext, CraftData, Ensemble, Field, Method, Params, Surrogate
from methods._pgd import PGD, ShiftsAndFlips, colour_of_zero


class HypoParams(Params):
    """Parameters of the descent and of the network that it descends on."""

    steps: int = Field(100, ge=1, description="gradient steps")
    step_fraction: float = Field(0.1, gt=0, description="step size as a share of the budget")
    epochs: int = Field(10, ge=1, description="of the surrogate's adversarial training")
    attack_radius: int = Field(2, ge=1, le=255, description="of the attack that it is trained with, levels of 1/255")
    attack_steps: int = Field(10, ge=1, description="of that attack")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of the networks; auto is bf16 on GPUs that have it"
    )


@METHODS.register("hypo")
class Hypo(Method[HypoParams]):
    """Lowers the loss of the true class on an adversarially trained network: what is learnt then is not robust.

    It aims at adversarial training with a larger radius, and is weak against any other by design. The surrogate has the
    experiment's recipe, for fewer epochs; each step of its attack is a quarter of the radius.
    """

    per_sample = True
    cite = "tao2022adversarial"

    def needs(self) -> list[Surrogate]:
        """Return one run of adversarial training."""
        radius, steps = self.params.attack_radius, self.params.attack_steps
        attack = f"adversarial-training:radius={radius},step_size={radius / 4},steps={steps}"
        return [Surrogate(placement="last", recipe={"epochs": self.params.epochs}, defense=attack)]

    def passes(self) -> float:
        """Return the steps."""
        return self.params.steps

    def prepare(self, data: Callable[[], Iterator[CraftData]], ctx: CraftContext) -> None:
        """Freeze the network."""
        self.ensemble = Ensemble(ctx.networks, precision=self.params.precision)
        self.views = ShiftsAndFlips(colour_of_zero(ctx.networks[-1]))

    def craft(self, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        """Descend on the loss of the true class, seen through random shifts and flips."""
        pgd = PGD(self.params.steps, self.params.step_fraction * budget.radius, views=self.views)
        return pgd(data, data.y, self.ensemble, budget, ctx)
