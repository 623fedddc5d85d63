"""Augmented adversarial poisoning: adversarial examples that outlast the augmentation of contrastive learning.

Wang et al., "Efficient Availability Attacks against Supervised and Contrastive Learning Simultaneously", NeurIPS 2024.
"""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal, TypeVar

from torch import Tensor

from bench.api import METHODS, Budget, CraftContext, CraftData, Ensemble, Field, Method, Params, Surrogate
from methods._contrastive_views import MOST_KEPT, ContrastiveViews, smallest_window
from methods._pgd import PGD
from methods._targeted import targets

PUBLISHED: dict[str, Any] = {
    "epochs": 40,
    "batch_size": 128,
    "lr": 0.5,
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 1e-4,
    "schedule": {"kind": "cosine", "each": "epoch", "final": 2e-6, "after_warmup": True},
    "warmup_epochs": 10,
    "warmup_from": 0.0,
    "clip_gradient": None,
}
"""How the authors train their network, but for its augmentation."""


class AAPParams(Params):
    """Parameters of the attack; the defaults are the published ones for CIFAR-10."""

    steps: int = Field(250, ge=1, description="gradient steps")
    reach: float = Field(2.5, gt=0, description="length of all steps together, in budgets")
    strength: float = Field(0.4, ge=0, le=1, description="of the views; 0.8 for CIFAR-100, 0 shows images as they are")
    surrogate: Literal["published", "recipe"] = Field(
        "published", description="trained for 40 epochs as published, or as the experiment's recipe says"
    )
    surrogate_strength: float = Field(
        0.4, ge=0, le=1, description="of the crops of the published training; 0.8 for CIFAR-100, 0 augments nothing"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of the networks; auto is bf16 on GPUs that have it"
    )


class TargetedAAPParams(AAPParams):
    """Parameters of the targeted attack."""

    shift: int = Field(1, ge=1, description="target class y + shift")


P_co = TypeVar("P_co", bound=AAPParams, covariant=True)


class _Augmented(Method[P_co]):
    """Adversarial examples of one network, from the clean images and through views of contrastive strength."""

    per_sample = True
    cite = "wang2024efficient"
    ascend: ClassVar[bool] = False

    def needs(self) -> list[Surrogate]:
        """Return one run, trained as published or as everything else."""
        if self.params.surrogate == "recipe":
            return [Surrogate(placement="last")]
        strength = self.params.surrogate_strength
        window = round(smallest_window(strength), 6) if strength else None
        seen = {"crop_padding": 0, "resized_crop": window, "flip": bool(strength)}
        return [Surrogate(placement="last", recipe={**PUBLISHED, "augmentation": seen})]

    def passes(self) -> float:
        """Return the steps."""
        return self.params.steps

    def prepare(self, data: Callable[[], Iterator[CraftData]], ctx: CraftContext) -> None:
        """Freeze the network."""
        self.ensemble = Ensemble(ctx.networks, precision=self.params.precision)
        # Every shard needs the draws of all images, and a GPU is done with its steps before these are drawn.
        keeps = ctx.device.type == "cuda" and self.params.steps * ctx.images <= MOST_KEPT
        self.views = ContrastiveViews(self.params.strength, kept={} if keeps else None)

    def craft(self, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        """Run PGD from the clean images, a new view of each at every step."""
        views = self.views if self.params.strength else None
        length = self.params.reach * budget.radius / self.params.steps
        pgd = PGD(self.params.steps, length, views=views, ascend=self.ascend)
        return pgd(data, self._labels(data), self.ensemble, budget, ctx)

    def _labels(self, data: CraftData) -> Tensor:
        return data.y


@METHODS.register("aap")
class AAP(_Augmented[TargetedAAPParams]):
    """Moves each image to where a network takes it for the next class, however its window and colours are changed.

    The authors train the network with the views that they craft with. Here its training has their windows and flips,
    but leaves colours alone, which no recipe changes; and it normalises as the experiment's recipe does.
    """

    def _labels(self, data: CraftData) -> Tensor:
        return targets(data, self.params.shift)


@METHODS.register("aap-untargeted")
class UntargetedAAP(_Augmented[AAPParams]):
    """Moves each image to where a network no longer takes it for its class, however window and colours are changed.

    The authors train the network with the views that they craft with. Here its training has their windows and flips,
    but leaves colours alone, which no recipe changes; and it normalises as the experiment's recipe does.
    """

    ascend = True
