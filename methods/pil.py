"""Perturbations found on a linear classifier, which teach a network to be one.

Liu et al., "Perturbation-Induced Linearization: Constructing Unlearnable Data with Solely Linear Classifiers", ICLR
2026.
"""

import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.api import METHODS, Budget, CraftContext, CraftData, Field, Method, Params
from methods._batches import batches


class PILParams(Params):
    """Parameters of the linear surrogate and of the steps on it."""

    steps: int = Field(30, ge=1, description="signed gradient steps")
    step_fraction: float = Field(0.1, gt=0, description="step size as a share of the budget")
    shortcut: float = Field(
        0.9, ge=0, le=1, description="weight of the perturbation's own class; the rest is confusion"
    )
    epochs: int = Field(30, ge=1, description="epochs of the linear surrogate")
    lr: float = Field(0.003, gt=0, description="its learning rate, annealed to 0 by a cosine")
    batch_size: int = Field(512, ge=1, description="its batch size")


@METHODS.register("pil")
class PIL(Method[PILParams]):
    """A linear classifier is to read the class from the perturbation, and nothing from the image without it.

    The surrogate is two linear layers without biases on raw pixels, trained by SGD (momentum 0.9, weight decay 1e-4) on
    images in their order without augmentation. From a uniform start the perturbation descends on
    shortcut * CE(W d, y) + (1 - shortcut) * KL(uniform, softmax(W (x - d))), and is subtracted from the image. Both are
    gradients of a linear map and taken in closed form. No network is trained, so no passes are counted.
    """

    norms = ("linf",)
    per_sample = True
    cite = "liu2026perturbation"

    def prepare(self, data: Callable[[], Iterator[CraftData]], ctx: CraftContext) -> None:
        """Train the linear surrogate; `weights` are its [classes, 3 * H * W], both layers in one."""
        first = next(iter(data()))
        length = first.x[0].numel()
        generator = ctx.generator("surrogate")
        layers = [
            _uniform(first.classes, fan_in, generator).to(ctx.device).requires_grad_()
            for fan_in in (length, first.classes)
        ]
        optimizer = torch.optim.SGD(layers, lr=self.params.lr, momentum=0.9, weight_decay=1e-4)
        for epoch in ctx.progress(range(self.params.epochs)):
            for group in optimizer.param_groups:
                group["lr"] = self.params.lr * (1 + math.cos(math.pi * epoch / self.params.epochs)) / 2
            for batch in batches(data(), self.params.batch_size):
                optimizer.zero_grad()
                F.cross_entropy(batch.x.flatten(1) @ layers[0].T @ layers[1].T, batch.y).backward()
                optimizer.step()
        self.weights = (layers[1] @ layers[0]).detach()

    def craft(self, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        """Descend on both losses and subtract what was found."""
        x, radius = data.x.flatten(1), budget.radius
        labels = F.one_hot(data.y, data.classes).to(x)
        noise = radius * (2 * self._start(data, ctx).to(x).flatten(1) - 1)
        for _ in ctx.progress(range(self.params.steps)):
            own = (noise @ self.weights.T).softmax(1) - labels
            other = 1 / data.classes - ((x - noise) @ self.weights.T).softmax(1)
            gradient = (self.params.shortcut * own + (1 - self.params.shortcut) * other) @ self.weights
            noise = (noise - self.params.step_fraction * radius * budget.direction(gradient)).clamp(-radius, radius)
        return budget.project(data.x, (x - noise).view_as(data.x))

    def _start(self, data: CraftData, ctx: CraftContext) -> Tensor:
        """Return draws from 0 to 1 of the images' shape; an image's are its own, whatever shard it is in."""
        shape = data.x.shape[1:]
        return torch.stack([torch.rand(shape, generator=ctx.generator("start", one)) for one in data.index.tolist()])


def _uniform(rows: int, fan_in: int, generator: torch.Generator) -> Tensor:
    """Return the weights, [rows, fan_in], that a linear layer of torch starts with."""
    return (2 * torch.rand(rows, fan_in, generator=generator) - 1) / math.sqrt(fan_in)
