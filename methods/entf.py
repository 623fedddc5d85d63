"""Entangled features: images whose robust features lie between the classes, against adversarial training.

Wen et al., "Is Adversarial Training Really a Silver Bullet for Mitigating Data Poisoning?", ICLR 2023.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.api import (
    METHODS,
    Budget,
    CraftContext,
    CraftData,
    Ensemble,
    EnsembleLoss,
    FeatureAlignment,
    Field,
    Frozen,
    Method,
    Params,
    SepbenchError,
    Surrogate,
    class_means,
)
from methods._pgd import PGD, ShiftsAndFlips, colour_of_zero

PUBLISHED = {
    "epochs": 100,
    "batch_size": 128,
    "lr": 0.1,
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 5e-4,
    "schedule": {"kind": "steps", "at": (75, 90), "factor": 0.1},
    "warmup_epochs": 0,
    "clip_gradient": None,
    "normalise": False,
    "normalisation": "measured",
}
"""How the authors train their network; the augmentation is the experiment's."""


class EntFParams(Params):
    """Parameters of the attack and of the network that it moves features of; the defaults are the published ones."""

    steps: int = Field(300, ge=1, description="gradient steps")
    step_fraction: float = Field(0.05, gt=0, description="step size as a share of the budget")
    attack_radius: int = Field(4, ge=1, le=255, description="of the attack that it is trained with, levels of 1/255")
    attack_step_size: float = Field(2.0, gt=0, description="step of that attack, levels of 1/255")
    attack_steps: int = Field(10, ge=1, description="steps of that attack")
    surrogate: Literal["published", "recipe"] = Field(
        "published", description="trained for 100 epochs as published, or as the experiment's recipe says"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of the networks; auto is bf16 on GPUs that have it"
    )


class _EntangledFeatures(Method[EntFParams]):
    """Features of one adversarially trained network, moved between the mean clean features of the classes."""

    per_sample = True
    cite = "wen2023adversarial"
    ascend: ClassVar[bool] = False

    def needs(self) -> list[Surrogate]:
        """Return one run of adversarial training."""
        radius, length, steps = self.params.attack_radius, self.params.attack_step_size, self.params.attack_steps
        attack = f"adversarial-training:radius={radius},step_size={length},steps={steps}"
        recipe = PUBLISHED if self.params.surrogate == "published" else {}
        return [Surrogate(placement="last", recipe=recipe, defense=attack)]

    def passes(self) -> float:
        """Return the steps."""
        return self.params.steps

    def forward_passes(self) -> float:
        """Return one, for the features."""
        return 1

    def prepare(self, data: Callable[[], Iterator[CraftData]], ctx: CraftContext) -> None:
        """Freeze the network and average the clean features of each class, without augmentation."""
        network = ctx.networks[-1]
        means = class_means(Frozen(network), data())
        present = torch.stack([torch.bincount(part.y, minlength=part.classes) for part in data()]).sum(0) > 0
        self.ensemble = Ensemble([network], self._loss(means, present), self.params.precision)
        self.views = ShiftsAndFlips(colour_of_zero(network))

    def craft(self, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        """Run PGD on the distance of the features, from one random start and through random shifts and flips."""
        length = self.params.step_fraction * budget.radius
        pgd = PGD(self.params.steps, length, "normal", views=self.views, ascend=self.ascend)
        return pgd(data, data.y, self.ensemble, budget, ctx)

    @abstractmethod
    def _loss(self, means: Tensor, present: Tensor) -> EnsembleLoss:
        """Return the loss of images and their true classes, of the mean features [classes, D] and which classes are."""


@METHODS.register("entf-push")
class EntFPush(_EntangledFeatures):
    """Moves the features of an adversarially trained network away from those of the own class.

    It ascends on the mean squared error between an image's features and the mean clean features of its class, seen
    through random shifts and flips. It aims at adversarially trained victims.
    """

    ascend = True

    def _loss(self, means: Tensor, present: Tensor) -> EnsembleLoss:
        return FeatureAlignment([means])


@METHODS.register("entf-pull")
class EntFPull(_EntangledFeatures):
    """Moves the features of an adversarially trained network to those of the nearest other class.

    Which class is the nearest is asked anew at every step, of the features of the image as it is seen then. The
    released code takes 1 for the distance to the own class, and pulls an image there when all others are farther; here
    the own class is never the nearest. It aims at adversarially trained victims.
    """

    def _loss(self, means: Tensor, present: Tensor) -> EnsembleLoss:
        if int(present.sum()) < 2:
            raise SepbenchError(
                "entf-pull moves images towards the nearest other class, and only one class is to be protected: "
                "protect images of at least two, or take entf-push"
            )
        return NearestOther(means, present)


class NearestOther:
    """Mean squared error between an image's features and the nearest mean clean features of another class.

    A loss for `Ensemble`; `means` are [classes, D], and `present` [classes] tells which classes have images.
    """

    def __init__(self, means: Tensor, present: Tensor) -> None:
        self.means, self.absent = means, ~present

    def __call__(self, index: int, network: Frozen, x: Tensor, own: Tensor) -> Tensor:
        """Return the sum over images, in the format of the means; the square is averaged over an image's D features."""
        features = network.features(x).to(self.means.dtype)
        barred = F.one_hot(own, len(self.means)).bool() | self.absent
        # Without a matrix product, whose rounding could choose the farther of two that are nearly as near.
        distance = torch.cdist(features.detach(), self.means, compute_mode="donot_use_mm_for_euclid_dist")
        nearest = distance.masked_fill(barred, torch.inf).argmin(1)
        return F.mse_loss(features, self.means[nearest], reduction="none").mean(1).sum()
