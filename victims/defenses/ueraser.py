"""UEraser: the worst of several strong random augmentations of every image.

Qin et al., "Learning the Unlearnable: Adversarial Augmentations Suppress Unlearnable Example Attacks", ICCV workshop on
adversarial robustness in the real world, 2023.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.api import DEFENSES, Defense, Field, Loss, Params
from victims.defenses._plasma import plasma
from victims.defenses._side_passes import side_passes
from victims.defenses._trivial_augment import trivial_augment


class UEraserParams(Params):
    """Parameters of UEraser."""

    variant: Literal["lite", "standard", "max"] = Field(
        "standard", description="the worst of several augmentations: never (lite), at first (standard), always (max)"
    )
    draws: int = Field(5, ge=1, description="augmentations of which each image takes the worst")
    epochs: int = Field(50, ge=0, description="epochs that the standard variant takes the worst in")


@DEFENSES.register("ueraser")
class UEraser(Defense[UEraserParams]):
    """Train on strong random augmentations, in the first epochs on the one of five with the highest loss.

    After crop and flip every image gets plasma brightness, plasma contrast, with probability 1/2 another order of its
    channels, and TrivialAugment, as in the first public code; later versions of it apply plasma with probability 1/2.
    Which augmentation of an image is the worst is judged by cross-entropy with the network in training mode, by passes
    that leave its running statistics alone. With the worst of five a step costs five forward passes more.
    """

    short = "variant"
    cite = "qin2023learning"
    words = "strong random augmentation"

    def extra_passes(self) -> float:
        """Return the forward passes of the worst of several, each a third of a pass, as in an epoch that takes it."""
        return 0 if self.params.variant == "lite" else self.params.draws / 3

    def loss(self, loss: Loss, epoch: int) -> Loss:
        """Return the epoch's loss of the augmented batch."""
        until = {"lite": 0, "standard": self.params.epochs, "max": math.inf}[self.params.variant]
        draws = self.params.draws if epoch < until else 1

        def augmented(network: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
            candidates = [strong_augmentation(x, generator) for _ in range(draws)]
            return loss(network, _worst(network, candidates, y), y, generator)

        return augmented


def strong_augmentation(x: Tensor, generator: torch.Generator) -> Tensor:
    """Augment each image, [B, 3, H, W] in [0, 1], by draws of its own.

    Brightness adds to each channel its own plasma in [-1, 1] times an intensity uniform on [0, 1]; contrast multiplies
    the distance from 1/2 by another plasma in [0, 4]; the roughness of each is uniform on [0.1, 0.7].
    """
    count = len(x)
    intensity = torch.rand(count, 1, 1, 1, generator=generator, device=x.device)
    x = (x + intensity * (2 * _plasma_like(x, generator) - 1)).clamp(0, 1)
    x = ((x - 0.5) * 4 * _plasma_like(x, generator) + 0.5).clamp(0, 1)
    order = torch.rand(count, 3, generator=generator, device=x.device).argsort(1)[:, :, None, None].expand_as(x)
    shuffled = torch.rand(count, 1, 1, 1, generator=generator, device=x.device) < 0.5
    return trivial_augment(torch.where(shuffled, x.gather(1, order), x), generator)


def _plasma_like(x: Tensor, generator: torch.Generator) -> Tensor:
    count, channels, height, width = x.shape
    roughness = 0.1 + 0.6 * torch.rand(count, generator=generator, device=x.device)
    maps = plasma(count * channels, height, width, roughness.repeat_interleave(channels), generator)
    return maps.view(x.shape).to(x.dtype)


def _worst(network: nn.Module, candidates: list[Tensor], y: Tensor) -> Tensor:
    if len(candidates) == 1:
        return candidates[0]
    with side_passes(network, y.device), torch.no_grad():
        losses = torch.stack([F.cross_entropy(network(x), y, reduction="none") for x in candidates])
    image = torch.arange(len(y), device=y.device)
    return torch.stack(candidates)[losses.argmax(0), image]
