"""Random views as strong as those of contrastive learning, differentiable and drawn for each image of its own.

Wang et al., "Efficient Availability Attacks against Supervised and Contrastive Learning Simultaneously", NeurIPS 2024.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.api import Augmentation, CraftContext, CraftData, Draws, augment, draw, sent
from methods._pgd import View

MOST_KEPT = 2**30 // 82
"""Draws of an image at a step that are kept, one GiB of them."""

_KINDS = 4  # of change
_LUMA = (0.2989, 0.587, 0.114)  # torchvision's


@dataclass(frozen=True)
class ContrastiveViews:
    """Show each image through a resized window, mirrored half of the time, in other colours or none.

    With strength s the window has at least max(1 - 0.9 s, 0.05) of the image's area. With probability min(0.99, 0.8 s)
    brightness, contrast and saturation are multiplied by factors uniform within 0.4 s of 1, and the hue goes round by
    up to 0.1 s of the circle, in an order drawn for each image, each as torchvision defines it. With probability 0.2 s
    the image is grey.

    Attributes
    ----------
    strength
        In [0, 1].
    turn
        Tells the draws from those of the same steps in another turn, where a method has several.
    kept
        Where the draws of a step stay for the shards after this one, some 80 bytes an image; unset, they are drawn for
        each shard anew.

    """

    strength: float
    turn: tuple[int, ...] = ()
    kept: dict[tuple[int, ...], "ContrastiveDraws"] | None = None

    def __call__(self, data: CraftData, ctx: CraftContext, *step: int) -> View:
        """Return the view of a step: what an image gets does not depend on the shard it is in."""
        kept = {} if self.kept is None else self.kept
        if step not in kept:
            generator = ctx.generator("augment", *self.turn, *step)
            kept[step] = draw_contrastive(ctx.images, self.strength, generator, data.x.shape[-2:])
        own = kept[step][data.index].to(ctx.device)
        return lambda x: contrastive(x, own)


@dataclass(frozen=True)
class ContrastiveDraws:
    """What the views of some images were drawn to be.

    Attributes
    ----------
    window
        The resized window, and whether it is mirrored.
    order
        int64 [N, 4], which of brightness, contrast, saturation and hue, counted from 0, comes first, second and so on;
        -1 four times for an image that keeps its colours. On the CPU, wherever the others are: which images change how
        is looked up there, since a GPU would have to be waited for.
    amount
        float32 [N, 4], the factors of the first three, and what is added to the hue in circles.
    grey
        bool [N], whether the image loses its colours.

    """

    window: Draws
    order: Tensor
    amount: Tensor
    grey: Tensor

    def to(self, device: torch.device) -> "ContrastiveDraws":
        """Return the same draws on another device."""
        return ContrastiveDraws(self.window.to(device), self.order, sent(self.amount, device), sent(self.grey, device))

    def __getitem__(self, part: slice | Tensor) -> "ContrastiveDraws":
        return ContrastiveDraws(self.window[part], self.order[part], self.amount[part], self.grey[part])


def smallest_window(strength: float) -> float:
    """Return the least share of an image's area that is shown at some strength."""
    return max(1 - 0.9 * strength, 0.05)


def draw_contrastive(count: int, strength: float, generator: torch.Generator, size: Sequence[int]) -> ContrastiveDraws:
    """Draw the views of so many images of a height and width; the generator and the draws are on the CPU."""
    kind = Augmentation(resized_crop=smallest_window(strength), flip=True)
    window = draw(count, kind, generator, size)
    jittered, grey = torch.rand(2, count, generator=generator)
    order = torch.rand(count, 4, generator=generator).argsort(1)
    order = torch.where(jittered[:, None] < min(0.99, 0.8 * strength), order, -1)
    reach = strength * torch.tensor([0.4, 0.4, 0.4, 0.1])
    amount = torch.tensor([1.0, 1.0, 1.0, 0.0]) + reach * (2 * torch.rand(count, 4, generator=generator) - 1)
    return ContrastiveDraws(window, order, amount, grey < 0.2 * strength)


def contrastive(x: Tensor, draws: ContrastiveDraws) -> Tensor:
    """Return what is seen of each image, [B, 3, H, W] in [0, 1], by its own draws, on its device; differentiable."""
    seen = augment(x, draws.window, 0)
    for number, chosen in enumerate(_changed(draws.order, seen.device)):
        kind = number % _KINDS
        change = (_brightness, _contrast, _saturation, _hue)[kind]
        amount = draws.amount[chosen, kind, None, None, None].to(seen)
        seen = seen.index_copy(0, chosen, change(seen[chosen], amount))
    return torch.where(draws.grey[:, None, None, None], _luma(seen).expand_as(seen), seen)


def _changed(order: Tensor, device: torch.device) -> Sequence[Tensor]:
    """Return the positions, int64, of the images of each kind of change at the first place, at the second and so on."""
    positions = [(place == kind).nonzero()[:, 0] for place in order.T for kind in range(_KINDS)]
    parts: Sequence[Tensor] = sent(torch.cat(positions), device).split([len(one) for one in positions])
    return parts


def _brightness(x: Tensor, factor: Tensor) -> Tensor:
    return (factor * x).clamp(0, 1)


def _contrast(x: Tensor, factor: Tensor) -> Tensor:
    return torch.lerp(_luma(x).mean((2, 3), keepdim=True), x, factor).clamp(0, 1)


def _saturation(x: Tensor, factor: Tensor) -> Tensor:
    return torch.lerp(_luma(x), x, factor).clamp(0, 1)


def _hue(x: Tensor, turn: Tensor) -> Tensor:
    """Turn the hue, keeping the largest and the smallest channel of a pixel (HSV)."""
    high, low = x.amax(1, keepdim=True), x.amin(1, keepdim=True)
    chroma = high - low
    r, g, b = x.split(1, dim=1)
    width = torch.where(chroma > 0, chroma, 1)  # a grey pixel has no hue, and keeps its colour and its gradient
    sixth = torch.where(high == r, (g - b) / width, torch.where(high == g, 2 + (b - r) / width, 4 + (r - g) / width))
    place = (sixth + 6 * turn + _channels(x, 5.0, 3.0, 1.0)) % 6
    return high - chroma * torch.minimum(place, 4 - place).clamp(0, 1)


def _luma(x: Tensor) -> Tensor:
    return (x * _channels(x, *_LUMA)).sum(1, keepdim=True)


def _channels(x: Tensor, *values: float) -> Tensor:
    """Return a value for each channel, [3, 1, 1], in the format of images, made where they are."""
    return torch.cat([x.new_full((1, 1, 1), value) for value in values])
