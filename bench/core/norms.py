"""The norms of budgets, each defined once: what a size means, how it reads, and how images are kept within it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:  # tables name budgets, and need no torch for that
    from torch import Tensor

Norm = Literal["linf", "l2", "l0", "unbounded"]

Beside = Literal["psnr", "ssim"]
"""Fields of the audit that tell how much images were changed where no budget does."""

_FLOAT32_ERROR = 1e-7  # of a pixel in [0, 1]


@dataclass(frozen=True)
class Bound:
    """What a budget bounds of the released bytes.

    Attributes
    ----------
    field
        The audit's field that may not be larger than the budget.
    unit
        What that counts.
    slack
        How much larger it may be, as a share of the budget: the last bits of a sum of floats.

    """

    field: str
    unit: str
    slack: float = 0.0


class Ball(ABC):
    """The images within one norm of an image, for every size of budget.

    Tensors are batches, [N, 3, H, W]: `clean` and `images` are floats in [0, 1], `released` is uint8.

    Attributes
    ----------
    usage
        How such a budget is written, for messages.
    example
        A budget to advise to somebody who has none.
    bound
        What a size bounds; None where there is no size.
    beside
        Fields of the audit that stand beside every result, since the budget says nothing of how much was changed.

    """

    usage: ClassVar[str]
    example: ClassVar[str]
    bound: ClassVar[Bound | None]
    beside: ClassVar[tuple[Beside, ...]] = ()

    def size_mistake(self, size: float) -> str | None:
        """Return what is wrong with a size, as it follows `budget 'linf-300'`; None where nothing is."""
        if not math.isfinite(size):
            return "is larger than any finite number"
        return "is negative: a budget is at least 0" if size < 0 else None

    @abstractmethod
    def title(self, size: float) -> str:
        """Return a budget as people read it, such as `L2 ≤ 1`."""

    @abstractmethod
    def radius(self, size: float) -> float:
        """Return the factor that takes the unit step of `direction` to the edge of the ball, on the [0, 1] scale."""

    @abstractmethod
    def project(self, clean: Tensor, images: Tensor, size: float) -> Tensor:
        """Return the images, of any values, moved into the ball around the clean ones and into [0, 1]."""

    @abstractmethod
    def direction(self, gradient: Tensor, size: float) -> Tensor:
        """Return the unit step that climbs most along a gradient."""

    @abstractmethod
    def breach(self, clean: Tensor, crafted: Tensor, released: Tensor, size: float, *, truncated: bool) -> str | None:
        """Return how a method left its budget by more than rounding, None where it did not.

        `clean` and `released` are uint8; `truncated` bytes were cut rather than rounded.
        """

    def fit(self, clean: Tensor, crafted: Tensor, released: Tensor, size: float) -> Tensor:
        """Return released bytes, uint8, without what rounding them to the nearest level added beyond the budget."""
        return released


class LinfBall(Ball):
    """Every pixel within so many levels of 1/255 of its own, a whole number since releases are 8-bit images."""

    usage = "linf-LEVELS, such as linf-8"
    example = "linf-8"
    bound = Bound("linf_levels", "levels")

    def size_mistake(self, size: float) -> str | None:
        """Return what is wrong with a size."""
        if 0 <= size <= 255 and size == int(size):
            return None
        return super().size_mistake(size) or "is not a whole number of 1/255 levels from 0 to 255"

    def title(self, size: float) -> str:
        """Return a budget as people read it."""
        return f"L∞ ≤ {plain(size)}/255"

    def radius(self, size: float) -> float:
        """Return the size on the [0, 1] pixel scale."""
        return size / 255

    def project(self, clean: Tensor, images: Tensor, size: float) -> Tensor:
        """Return the nearest images of the ball and [0, 1]."""
        radius = self.radius(size)
        return images.clamp(clean - radius, clean + radius).clamp(0, 1)

    def direction(self, gradient: Tensor, size: float) -> Tensor:
        """Return the sign of the gradient."""
        return _signs(gradient)

    def breach(self, clean: Tensor, crafted: Tensor, released: Tensor, size: float, *, truncated: bool) -> str | None:
        """Return how far a pixel moved beyond the budget; one level more is let through where bytes are truncated."""
        worst = int(levels(clean, released).abs().amax())
        return f"a released pixel moved by {worst} levels" if worst > size + truncated else None


class L2Ball(Ball):
    """The perturbation of a whole image within a Euclidean norm, on the [0, 1] pixel scale."""

    usage = "l2-NORM, such as l2-1.0"
    example = "l2-1"
    bound = Bound("l2", "l2 norm", slack=1e-6)

    def title(self, size: float) -> str:
        """Return a budget as people read it."""
        return f"L2 ≤ {plain(size)}"

    def radius(self, size: float) -> float:
        """Return the size."""
        return size

    def project(self, clean: Tensor, images: Tensor, size: float) -> Tensor:
        """Return the nearest images of the ball, clipped to [0, 1]."""
        delta = images - clean
        norms = delta.flatten(1).norm(dim=1).clamp_min(1e-12)
        shrunk: Tensor = clean + delta * (size / norms).clamp(max=1)[:, None, None, None]
        return shrunk.clamp(0, 1)

    def direction(self, gradient: Tensor, size: float) -> Tensor:
        """Return each image's gradient at norm 1."""
        unit: Tensor = gradient / gradient.flatten(1).norm(dim=1).clamp_min(1e-30)[:, None, None, None]
        return unit

    def breach(self, clean: Tensor, crafted: Tensor, released: Tensor, size: float, *, truncated: bool) -> str | None:
        """Return the largest norm of a crafted perturbation where float32 cannot account for what is beyond."""
        largest = float((crafted - clean.float() / 255).flatten(1).norm(dim=1).amax())
        allowed = size * (1 + 1e-4) + _FLOAT32_ERROR * math.sqrt(clean[0].numel())
        return f"a crafted perturbation has l2 norm {largest:.4f}" if largest > allowed else None

    def fit(self, clean: Tensor, crafted: Tensor, released: Tensor, size: float) -> Tensor:
        """Return the bytes with those perturbations shrunk that rounding has pushed out of the ball."""
        base = clean.float() / 255
        scale = base.new_ones(len(base))
        while True:
            norms = levels(clean, released).flatten(1).double().norm(dim=1) / 255
            outside = norms > size
            if not bool(outside.any()):
                return released
            scale[outside] *= (size / norms[outside]).float() * 0.999
            shrunk = base[outside] + (crafted[outside] - base[outside]) * scale[outside][:, None, None, None]
            released = released.clone()
            released[outside] = to_bytes(shrunk)


class L0Ball(Ball):
    """At most so many of an image's H*W pixel positions changed, each in all channels to any value.

    A size beyond H*W bounds nothing and does no harm.
    """

    usage = "l0-PIXELS, such as l0-1"
    example = "l0-1"
    bound = Bound("l0", "changed pixels")

    def size_mistake(self, size: float) -> str | None:
        """Return what is wrong with a size."""
        if size >= 0 and math.isfinite(size) and size == int(size):
            return None
        return super().size_mistake(size) or "is not a whole number of pixels"

    def title(self, size: float) -> str:
        """Return a budget as people read it."""
        return f"L0 ≤ {plain(size)} pixel{'' if size == 1 else 's'}"

    def radius(self, size: float) -> float:
        """Return 1: a pixel may take any value."""
        return 1.0

    def project(self, clean: Tensor, images: Tensor, size: float) -> Tensor:
        """Return the images clipped to [0, 1] with the clean pixels put back but for those that changed most.

        How much a position changed is its Euclidean distance over channels; of equal ones the first in reading order
        stay changed.
        """
        clipped = images.clamp(0, 1)
        return clipped.where(_largest((clipped - clean).square().sum(1), size), clean)

    def direction(self, gradient: Tensor, size: float) -> Tensor:
        """Return the sign of the gradient where its sum of magnitudes over channels is largest, 0 elsewhere.

        No step of at most 1 in each channel of so many positions climbs more.
        """
        return _signs(gradient) * _largest(gradient.abs().sum(1), size)

    def breach(self, clean: Tensor, crafted: Tensor, released: Tensor, size: float, *, truncated: bool) -> str | None:
        """Return how many positions of a released image changed, where these are too many."""
        most = int(levels(clean, released).ne(0).any(1).flatten(1).sum(1).amax())
        return f"a released image has {most} changed pixels" if most > size else None


class Everything(Ball):
    """Any images: there is no budget, and results tell by PSNR and SSIM how much was changed."""

    usage = "unbounded"
    example = "unbounded"
    bound = None
    beside = ("psnr", "ssim")

    def title(self, size: float) -> str:
        """Return what the track is called."""
        return "unbounded"

    def radius(self, size: float) -> float:
        """Return 1: a pixel may take any value."""
        return 1.0

    def project(self, clean: Tensor, images: Tensor, size: float) -> Tensor:
        """Return the images clipped to [0, 1]."""
        return images.clamp(0, 1)

    def direction(self, gradient: Tensor, size: float) -> Tensor:
        """Return the sign of the gradient."""
        return _signs(gradient)

    def breach(self, clean: Tensor, crafted: Tensor, released: Tensor, size: float, *, truncated: bool) -> str | None:
        """Return None: nothing is too far."""
        return None


UNBOUNDED: Norm = "unbounded"

NORMS: Mapping[str, Ball] = {"linf": LinfBall(), "l2": L2Ball(), "l0": L0Ball(), UNBOUNDED: Everything()}
"""Every norm in the order of tracks."""


def budget_text(norm: str, size: float | None) -> str:
    """Return a budget as it is written, such as `linf-8`, or the norm alone where it has no size."""
    return norm if size is None else f"{norm}-{plain(size)}"


def beside(norm: str | None) -> tuple[Beside, ...]:
    """Return the fields of the audit that stand beside results under a norm."""
    return NORMS[norm].beside if norm is not None and norm in NORMS else ()


def plain(size: float) -> str:
    """Return a size without needless decimals."""
    return str(int(size)) if size == int(size) else f"{size:g}"


def levels(clean: Tensor, released: Tensor) -> Tensor:
    """Return by how many levels of 1/255 bytes differ, int16."""
    return released.short() - clean.short()


def to_bytes(images: Tensor) -> Tensor:
    """Return images in [0, 1] at the nearest levels, uint8."""
    return (images * 255).round().clamp(0, 255).byte()


def _signs(gradient: Tensor) -> Tensor:
    """Return the sign of each number, NaN where it is not finite.

    torch takes the sign of NaN for 0: an image whose gradient is none would stay as it was without a word.
    """
    return gradient.sign() + 0 * gradient


def _largest(values: Tensor, size: float) -> Tensor:
    """Return where each image's `size` largest of values [N, H, W] are, the first of equal ones, bool [N, 1, H, W]."""
    ranks = values.flatten(1).argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    return (ranks < size).view_as(values).unsqueeze(1)
