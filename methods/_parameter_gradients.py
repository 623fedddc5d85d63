"""Images moved along what they do to the gradient of a network's parameters: differentiated twice."""

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from bench.api import Budget, CraftContext, CraftData, MicroBatches, Network
from methods._online import part_of
from methods._pgd import PGD, Loss

PASSES = 3
"""What a step costs: the second backward goes through the forward pass and through the first backward."""

Objective = Callable[[Tensor], Tensor]
"""From a batch's gradient of all parameters in one vector, [P], to what is to fall, a scalar."""

SummedLoss = Callable[[Tensor, Tensor], Tensor]
"""From logits, [B, classes], and classes, [B], to the sum of the losses of the images."""


def cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """Return the summed cross-entropy."""
    return F.cross_entropy(logits, classes, reduction="sum")


class ParameterGradient:
    """The gradient that a batch of images gives all parameters of a network, and what images do to it.

    Parameters
    ----------
    network
        Copied, put in eval mode, and kept in its own format: statistics of the batch play no part.
    size
        Images that are held at a time; as many as fit if unset.

    """

    def __init__(self, network: Network, size: int | None = None) -> None:
        self._network = deepcopy(network).eval().requires_grad_()
        self._parameters = list(self._network.parameters())
        self._once, self._twice = MicroBatches(size), MicroBatches(size)

    def of(self, x: Tensor, y: Tensor, loss: SummedLoss = cross_entropy) -> Tensor:
        """Return the gradient of the mean loss, [P], detached. It costs a pass."""

        def of_part(images: Tensor, classes: Tensor) -> Tensor:
            return self._summed(images, classes, loss)

        parts = self._once.map(of_part, x, y, trial=of_part)
        return torch.stack(parts).sum(0) / len(x)

    def through(self, x: Tensor, y: Tensor, objective: Objective) -> Tensor:
        """Return the gradient of an objective of the cross-entropy's mean gradient with respect to the images.

        It is exact whatever the device holds at a time. It costs three passes, and one more where that is not the whole
        batch: the batch's gradient has to be known before its parts are differentiated.
        """

        @cache
        def slope() -> Tensor:
            gradient = self.of(x, y).requires_grad_()
            return torch.autograd.grad(objective(gradient), gradient)[0]

        def of_part(images: Tensor, classes: Tensor) -> Tensor:
            weights = None if len(images) == len(x) else slope()
            return differentiated(images, classes, objective if weights is None else lambda one: one @ weights)

        def differentiated(images: Tensor, classes: Tensor, objective: Objective) -> Tensor:
            images = images.detach().requires_grad_()
            gradient = self._summed(images, classes, cross_entropy, kept=True) / len(x)
            return torch.autograd.grad(objective(gradient), images)[0]

        def trial(images: Tensor, classes: Tensor) -> Tensor:
            return differentiated(images, classes, lambda gradient: gradient.square().sum())

        return torch.cat(self._twice.map(of_part, x, y, trial=trial))

    def _summed(self, x: Tensor, y: Tensor, loss: SummedLoss, *, kept: bool = False) -> Tensor:
        # Of attention torch differentiates no other kernel twice.
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
            total = loss(self._network(x), y)
            gradient = torch.autograd.grad(total, self._parameters, create_graph=kept)
            return torch.cat([one.reshape(-1) for one in gradient])


@dataclass(frozen=True)
class OfBatch:
    """An objective of the gradient of a batch with these labels, [N], as `PGD` descends on it."""

    parameters: ParameterGradient
    labels: Tensor
    objective: Objective

    def gradient(self, seen: Tensor) -> Tensor:
        """Return the gradient with respect to the images."""
        return self.parameters.through(seen, self.labels, self.objective)

    def values(self, x: Tensor) -> Tensor:
        """Return the objective, the same for each image. It costs a pass."""
        return self.objective(self.parameters.of(x, self.labels)).expand(len(x))


def descend_by_batches(
    pgd: PGD, data: CraftData, size: int, loss: Callable[[CraftData], Loss], budget: Budget, ctx: CraftContext
) -> Tensor:
    """Return all images, [N, 3, H, W], moved in batches of their order, which know nothing of each other.

    Each is a round: a run that is killed goes on with the batch that it was in.
    """
    protected = data.x.clone()
    for round_ in ctx.rounds(math.ceil(len(data.x) / size), "batches", protected=protected):
        part = slice(round_ * size, (round_ + 1) * size)
        batch = part_of(data, part)
        protected[part] = pgd.descend(batch, loss(batch), budget, ctx)
    return protected


def passes(steps: int, restarts: int) -> int:
    """Return what a descent costs: a step three passes, and one each restart that is compared with others."""
    return restarts * (PASSES * steps + (restarts > 1))
