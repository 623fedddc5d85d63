"""What error-minimising methods share that make a batch's noise anew before the network learns from it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeVar

import torch
from torch import Tensor

from bench.api import (
    Augmentation,
    Budget,
    Constants,
    CraftContext,
    CraftData,
    Field,
    Learner,
    Method,
    Params,
    Steps,
    augment,
    draw,
    sent,
)
from methods._online import Batches, blocks, recipe_of

_AUGMENTATION = Augmentation(crop_padding=4, flip=True)
_ZERO_IS_GREY = Constants(mean=(0.5, 0.5, 0.5), std=(1.0, 1.0, 1.0))

Draw = Callable[..., torch.Generator]
"""Parts of a purpose -> the generator of what is drawn for it, in one search of one batch."""


class StepwiseParams(Params):
    """Parameters of the alternation; the defaults are the published ones for CIFAR-10."""

    steps: int = Field(5000, ge=1, description="of the network, each on a batch whose noise was made for it")
    batch_size: int = Field(128, ge=2, description="images in a batch")
    noise_steps: int = Field(10, ge=1, description="signed steps of the noise of a batch, from a random start")
    noise_step_fraction: float = Field(0.2, gt=0, description="their size as a share of the budget")
    lr: float = Field(0.1, gt=0, description="of the network")
    lr_drops: tuple[int, ...] = Field((2000, 4000), strict=False, description="steps at which it is divided by ten")
    momentum: float = Field(0.9, ge=0, lt=1, description="of its SGD")
    weight_decay: float = Field(5e-4, ge=0, description="of its SGD")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of the network; auto is bf16 on GPUs that have it"
    )


class RobustParams(StepwiseParams):
    """Parameters of noise that is to last where a network trains adversarially."""

    samples: int = Field(
        5, ge=0, description="random crops and flips that a gradient of the noise is averaged over; 0 shows no crop"
    )
    radius: float = Field(4.0, ge=0, description="of the adversary, levels of 1/255; below the budget")
    attack_steps: int = Field(10, ge=1, description="signed steps of the adversary")
    attack_step_fraction: float = Field(0.2, gt=0, description="their size as a share of its radius")


P_co = TypeVar("P_co", bound=StepwiseParams, covariant=True)


class Stepwise(Method[P_co]):
    """Base: for each batch the noise is made anew, the network steps on it, and at the end all images get theirs.

    The network is the experiment's surrogate, freshly initialised, and takes grey for zero. A noise begins as uniform
    within the budget, and lowers the loss of the network in eval mode by signed steps; it is kept in whole levels. The
    network then learns from a random crop and flip of the batch.
    """

    norms = ("linf",)
    trains = True

    @property
    def _searched(self) -> int:
        """Gradients of an image that one search of its noise takes."""
        return self.params.noise_steps

    @property
    def _learnt(self) -> int:
        """Gradients that a step of the network takes for each image."""
        return 1

    def passes(self) -> float:
        """Return what the last search takes, of the noise of all images."""
        return self._searched

    def image_passes(self) -> float:
        """Return what the steps before it take, of a noise and of the network."""
        return self.params.steps * self.params.batch_size * (self._searched + self._learnt)

    def craft(self, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        """Train the network on noise that is made for it, and make that of all images with the network it became."""
        schedule = Steps(at=self.params.lr_drops)
        recipe = recipe_of(self, schedule, self.params.steps, normalisation=_ZERO_IS_GREY)
        learner = Learner(ctx, data, recipe)
        order = Batches(len(data.x), self.params.batch_size, shuffled=True)
        before_the_end = self.image_passes() / (self.image_passes() + self.passes() * len(data.x))
        rounds = ctx.rounds(self.params.steps, "training", (0.0, before_the_end), learner=learner)
        for step in rounds:
            chosen = order(step, ctx, data.x.device)
            x, y = data.x[chosen], data.y[chosen]
            generator = partial(ctx.generator, "training", step)
            seen = _crop(self._search(x, y, learner, budget, generator), generator("crop"))
            learner.step(self._to_learn(seen, y, learner, generator), y, step, 1)
            if (step + 1) % len(order) == 0:
                learner.check(f"step {step + 1}")
        learner.check("the last step")
        # As many at a time as in training: of more the activations might not fit into memory.
        protected, parts = data.x.clone(), blocks(data, self.params.batch_size)
        for index in ctx.rounds(len(parts), "last-search", (before_the_end, 1.0), protected=protected):
            part = parts[index]
            generator = partial(ctx.generator, "last search", index)
            protected[part] = self._search(data.x[part], data.y[part], learner, budget, generator)
        return protected

    def _search(self, x: Tensor, y: Tensor, learner: Learner, budget: Budget, generator: Draw) -> Tensor:
        """Return images, [B, 3, H, W] in whole levels, whose loss is low; from a random start."""
        start = 2 * sent(torch.rand(x.shape, generator=generator("start")), x.device).to(x.dtype) - 1
        images = budget.project(x, x + budget.radius * start)
        for step in range(self.params.noise_steps):
            gradient = self._gradient(images, y, learner, partial(generator, "noise", step))
            images = budget.project(
                x, images - self.params.noise_step_fraction * budget.radius * budget.direction(gradient)
            )
        return (255 * images).round() / 255

    def _gradient(self, images: Tensor, y: Tensor, learner: Learner, generator: Draw) -> Tensor:
        """Return what lowers the loss of images, as the network is to see them."""
        return learner.gradient(images, y)

    def _to_learn(self, seen: Tensor, y: Tensor, learner: Learner, generator: Draw) -> Tensor:
        """Return the images that the network learns from, of a batch that it is shown."""
        return seen


@dataclass(frozen=True)
class Adversary:
    """Moves what the network is shown within a radius, on the [0, 1] scale.

    Attributes
    ----------
    radius, steps, length
        How far at most, and in how many signed steps of which length.

    """

    radius: float
    steps: int
    length: float

    @classmethod
    def of(cls, params: RobustParams) -> "Adversary":
        """Return the one that parameters ask for; without a radius it takes no steps."""
        radius = params.radius / 255
        return cls(radius, params.attack_steps if radius else 0, params.attack_step_fraction * radius)

    def at_random(self, seen: Tensor, generator: torch.Generator) -> Tensor:
        """Return images moved at random."""
        if not self.radius:
            return seen
        drawn = 2 * sent(torch.rand(seen.shape, generator=generator), seen.device).to(seen.dtype) - 1
        return (seen + self.radius * drawn).clamp(0, 1)

    def attacked(self, seen: Tensor, y: Tensor, learner: Learner, generator: torch.Generator) -> Tensor:
        """Return images whose loss is high: PGD from a random start."""
        images = self.at_random(seen, generator)
        for _ in range(self.steps):
            moved = images + self.length * learner.gradient(images, y).sign()
            images = torch.clamp(moved, seen - self.radius, seen + self.radius).clamp(0, 1)
        return images


def over_crops(
    images: Tensor,
    y: Tensor,
    learner: Learner,
    samples: int,
    moved: Callable[[Tensor, torch.Generator], Tensor],
    generator: Draw,
) -> Tensor:
    """Return the gradient of images, [B, 3, H, W], summed over random crops and flips, or of themselves without any.

    It is taken at what `moved` makes of what the network is shown, and sent back to the image through the crop alone.
    """
    total = torch.zeros_like(images)
    for sample in range(max(samples, 1)):
        with torch.enable_grad():
            images = images.detach().requires_grad_()
            seen = _crop(images, generator("crop", sample)) if samples else images
        at_moved = learner.gradient(moved(seen.detach(), generator("adversary", sample)), y)
        total += torch.autograd.grad(seen, images, at_moved)[0] if samples else at_moved
    return total


def _crop(images: Tensor, generator: torch.Generator) -> Tensor:
    draws = draw(len(images), _AUGMENTATION, generator, images.shape[-2:]).to(images.device)
    return augment(images, draws, _AUGMENTATION.crop_padding)
