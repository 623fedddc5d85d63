"""Projected gradient descent with random starts, restarts and random views, which many methods are a setting of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.api import Augmentation, Budget, CraftContext, CraftData, Ensemble, Network, augment, draw, sent

View = Callable[[Tensor], Tensor]
"""What the network sees of images, [B, 3, H, W] to [B, 3, H, W], differentiable."""


class Loss(Protocol):
    """What is to fall, or to rise, of a shard of images and their labels."""

    def gradient(self, seen: Tensor) -> Tensor:
        """Return the gradient, [N, 3, H, W], with respect to the images as the network sees them."""

    def values(self, x: Tensor) -> Tensor:
        """Return what restarts are compared by, [N]: of each image, or the same number for all of them."""


@dataclass(frozen=True)
class CrossEntropy:
    """The cross-entropy of labels, [N]: its mean gradient over an ensemble, its values on the first network."""

    ensemble: Ensemble
    labels: Tensor

    def gradient(self, seen: Tensor) -> Tensor:
        """Return the gradient with respect to the images."""
        return self.ensemble.mean_gradient(seen, self.labels)

    def values(self, x: Tensor) -> Tensor:
        """Return the loss of each image."""
        with torch.no_grad():
            return F.cross_entropy(self.ensemble.networks[0](x).to(x.dtype), self.labels, reduction="none")


class Views(Protocol):
    """The random views of a shard of images."""

    def __call__(self, data: CraftData, ctx: CraftContext, *step: int) -> View:
        """Return the view of a step: what an image gets does not depend on the shard it is in."""


@dataclass(frozen=True)
class PGD:
    """How images are moved along the gradient of a loss, within the budget.

    Attributes
    ----------
    steps
        Gradient steps from each start.
    length
        Of a step, on the [0, 1] scale.
    start
        `clean`, or a normal draw of the budget's size for each image.
    restarts
        Runs, of which each image keeps the one that ends best.
    views
        What the network sees at a step; None shows it the images as they are.
    ascend
        Whether the loss is to rise.

    """

    steps: int
    length: float
    start: Literal["clean", "normal"] = "clean"
    restarts: int = 1
    views: Views | None = None
    ascend: bool = False

    def __call__(
        self,
        data: CraftData,
        labels: Tensor,
        ensemble: Ensemble,
        budget: Budget,
        ctx: CraftContext,
        begin: Tensor | None = None,
    ) -> Tensor:
        """Return images, [N, 3, H, W], moved to where the cross-entropy of these `labels` is low, or high.

        They start from `begin`, images within the budget, or where `start` says.
        """
        return self.descend(data, CrossEntropy(ensemble, labels), budget, ctx, begin)

    def descend(
        self, data: CraftData, loss: Loss, budget: Budget, ctx: CraftContext, begin: Tensor | None = None
    ) -> Tensor:
        """Return images, [N, 3, H, W], moved to where a loss is low, or high; from `begin`, or where `start` says."""
        sign = -1 if self.ascend else 1
        ticks = ctx.progress(range(self.restarts * self.steps))
        best, lowest = data.x, torch.full_like(data.x[:, 0, 0, 0], torch.inf)
        for restart in range(self.restarts):
            x = self._begin(restart, data, budget, ctx) if begin is None else begin
            for step, _ in zip(range(self.steps), ticks, strict=False):
                gradient = sign * self._gradient((restart, step), x, loss, data, ctx)
                x = budget.project(data.x, x - self.length * budget.direction(gradient))
            if self.restarts == 1:
                return x
            ends = sign * loss.values(x)
            better = ends < lowest if restart else torch.ones_like(ends, dtype=torch.bool)  # also than NaN
            best = torch.where(better[:, None, None, None], x, best)
            lowest = torch.where(better, ends, lowest)
        return best

    def _begin(self, restart: int, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        if self.start == "clean":
            return data.x
        # One stream for each image: what it starts from does not depend on the shard it is in.
        noise = torch.stack(
            [torch.randn(data.x.shape[1:], generator=ctx.generator("start", restart, i)) for i in data.index.tolist()]
        )
        noise = sent(noise, data.x.device).to(data.x.dtype)
        scale = budget.radius if budget.norm == "linf" else budget.radius / data.x[0].numel() ** 0.5
        return budget.project(data.x, data.x + scale * noise)

    def _gradient(self, step: tuple[int, int], x: Tensor, loss: Loss, data: CraftData, ctx: CraftContext) -> Tensor:
        if self.views is None:
            return loss.gradient(x)
        x = x.detach().requires_grad_()
        seen = self.views(data, ctx, *step)(x)
        return torch.autograd.grad(seen, x, loss.gradient(seen.detach()))[0]


def crops_and_flips(data: CraftData, ctx: CraftContext, *step: int) -> View:
    """Show each image cropped out of a border of 4 pixels, and mirrored half of the time: whole pixels move."""
    kind = Augmentation(crop_padding=4, flip=True)
    # Drawn for the whole training set: what an image gets does not depend on the shard it is in.
    draws = draw(ctx.images, kind, ctx.generator("augment", *step), data.x.shape[-2:])[data.index].to(ctx.device)
    return lambda x: augment(x, draws, kind.crop_padding)


@dataclass(frozen=True)
class ShiftsAndFlips:
    """Show each image moved by a fraction of a pixel or several, and mirrored half of the time.

    Shifts are uniform along both axes, at most `share` of the image's side: 4.1 pixels of 32. In between pixels are
    interpolated, and what comes in from outside has the `colour`, [3, 1, 1], that a network takes for zero.
    """

    colour: Tensor
    share: float = 4.1 / 32

    def __call__(self, data: CraftData, ctx: CraftContext, *step: int) -> View:
        """Return the view of a step."""
        generator = ctx.generator("augment", *step)
        drawn = torch.rand(ctx.images, 3, generator=generator)[data.index]
        flip = torch.where(drawn[:, 2] < 0.5, -1.0, 1.0)
        shift = 2 * self.share * (2 * drawn[:, :2] - 1)  # in the units of a grid, whose images are 2 wide
        theta = torch.zeros(len(drawn), 2, 3)
        theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = flip, 1.0, shift
        theta = sent(theta, data.x.device).to(data.x.dtype)
        grid = F.affine_grid(theta, list(data.x.shape), align_corners=False)
        return lambda x: F.grid_sample(x - self.colour, grid, align_corners=False) + self.colour


def colour_of_zero(network: Network) -> Tensor:
    """Return the colour, [3, 1, 1] in [0, 1], that a network normalises to zero."""
    return network.mean[0].detach().clone()
