"""From crafted images to released bytes, and the audit of what was released."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from bench.contracts.budget import Budget
from bench.contracts.method import Rounding
from bench.core.device import sent
from bench.core.norms import NORMS, levels, to_bytes

VERSION = 1
"""Bumped when the bytes released for the same crafted images change; part of every key that depends on them."""

_AUDIT_BATCH = 512
_AUDIT_PIXELS = 1024 * 32 * 32  # of a batch on a GPU, whose memory larger images would fill


class BudgetExceeded(Exception):  # noqa: N818 - reads as what it is
    """A method returned images that leave its budget or the shape of the data."""


@dataclass(frozen=True)
class Audit:
    """What the released bytes differ by from the clean ones.

    Attributes
    ----------
    linf_levels
        Largest change of a pixel of any image, in levels of 1/255.
    l2
        Largest norm of one image's perturbation, on the [0, 1] scale.
    l0
        Largest number of changed pixel positions (of H*W) in one image.
    psnr
        Of the mean squared error over all images, dB; None where nothing changed.
    ssim
        Mean structural similarity of the images (Wang et al. 2004: Gaussian window 11, sigma 1.5); None for
        images smaller than the window.

    """

    linf_levels: int
    l2: float
    l0: int
    psnr: float | None
    ssim: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as they stand in a record."""
        return asdict(self)


def release(clean: Tensor, crafted: Tensor, budget: Budget | None, rounding: Rounding = "nearest") -> Tensor:
    """Round crafted images to the bytes that are released.

    Parameters
    ----------
    clean
        uint8 [N, 3, H, W], what the perturbation was added to.
    crafted
        float [N, 3, H, W] in [0, 1], within the budget of `clean`.
    budget
        None for methods that take none.
    rounding
        `truncate` reproduces scripts that cut to uint8: what that adds beyond a linf or l2 budget, one level of a
        pixel, is let through then, and the audit shows it.

    Returns
    -------
    uint8 [N, 3, H, W] within the budget. Rounding to the nearest level keeps an integer linf budget. It can push
    an l2 perturbation out of its ball by the rounding error: such an image's perturbation is shrunk until its
    bytes fit. An l0 budget counts the positions whose bytes changed.

    Raises
    ------
    BudgetExceeded
        The method left the budget by more than rounding, or returned another shape, NaN or values beyond [0, 1].

    """
    if crafted.shape != clean.shape:
        raise BudgetExceeded(f"crafted images have shape {list(crafted.shape)}, the data {list(clean.shape)}")
    if not bool(torch.isfinite(crafted).all()):
        bad = int((~torch.isfinite(crafted)).flatten(1).any(1).sum())
        raise BudgetExceeded(
            f"{bad} of {len(crafted)} crafted images hold NaN or infinite values: a gradient that is not finite, or a "
            f"division by zero"
        )
    if float(crafted.amin()) < -1e-4 or float(crafted.amax()) > 1 + 1e-4:
        raise BudgetExceeded("crafted images leave [0, 1]")
    truncated = rounding == "truncate"
    released = (crafted * 255).clamp(0, 255).to(torch.uint8) if truncated else to_bytes(crafted)
    if budget is None:
        return released
    ball, size = NORMS[budget.norm], budget.size or 0
    breach = ball.breach(clean, crafted, released, size, truncated=truncated)
    if breach is not None:
        raise BudgetExceeded(f"{breach}, the budget is {budget}")
    return released if truncated else ball.fit(clean, crafted, released, size)


def audit(clean: Tensor, released: Tensor, device: torch.device | None = None) -> Audit:
    """Measure a protected set against the clean one, both uint8 [N, 3, H, W], on a device; where they lie if unset."""
    size = _audit_batch(clean, device or clean.device)
    worst, l2, l0 = 0, 0.0, 0
    squared, similarity = 0.0, 0.0
    for start in range(0, len(clean), size):
        a, b = (sent(images[start : start + size], device or images.device) for images in (clean, released))
        difference = levels(a, b)
        energy = difference.flatten(1).double().square().sum(1)
        worst = max(worst, int(difference.abs().amax()))
        l2 = max(l2, float(energy.amax().sqrt()) / 255)
        l0 = max(l0, int(difference.ne(0).any(1).flatten(1).sum(1).amax()))
        squared += float(energy.sum()) / 255**2
        if min(clean.shape[-2:]) >= 11:
            similarity += _ssim(a, b) * len(a)
    mse = squared / clean.numel()
    return Audit(
        linf_levels=worst,
        l2=l2,
        l0=l0,
        psnr=None if mse == 0 else float(-10 * torch.log10(torch.tensor(mse, dtype=torch.float64))),
        ssim=similarity / len(clean) if min(clean.shape[-2:]) >= 11 else None,
    )


def _audit_batch(images: Tensor, device: torch.device) -> int:
    height, width = images.shape[-2:]
    return _AUDIT_BATCH if device.type == "cpu" else max(_AUDIT_PIXELS // (height * width), 1)


def _ssim(a: Tensor, b: Tensor) -> float:
    from torchmetrics.functional.image import structural_similarity_index_measure

    # A GPU may round float32 to TF32 where it convolves: of a variance of nearby pixels little would be left.
    wide = torch.float32 if a.device.type == "cpu" else torch.float64
    _, full = structural_similarity_index_measure(
        b.to(wide) / 255, a.to(wide) / 255, data_range=1.0, return_full_image=True
    )
    # Only windows inside the image, as in the paper: whether the mean has those over the border depends on the version.
    return float(full[..., 5:-5, 5:-5].mean())
