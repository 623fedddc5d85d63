"""One simple operation on every second image, of a random kind and strength, for a whole batch on its device.

Müller and Hutter, "TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation", ICCV 2021, with the operations
and ranges that kornia gives it. Brightness, contrast, sharpness, solarization, autocontrast and equalization are those
of PIL.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

Operation = Callable[[Tensor, Tensor], Tensor]
"""Images [B, 3, H, W] in [0, 1] and strengths [B, 1, 1, 1], uniform on [0, 1], to images."""


def trivial_augment(x: Tensor, generator: torch.Generator) -> Tensor:
    """Apply to each image, [B, 3, H, W] in [0, 1], with probability 1/2 one of `OPERATIONS`, all equally likely."""
    count = len(x)
    kind = torch.randint(2 * len(OPERATIONS), (count, 1, 1, 1), generator=generator, device=x.device)
    strength = torch.rand(count, 1, 1, 1, generator=generator, device=x.device, dtype=x.dtype)
    augmented = x
    for index, operation in enumerate(OPERATIONS.values()):
        augmented = torch.where(kind == index, operation(x, strength), augmented)
    return augmented.clamp(0, 1)


def autocontrast(x: Tensor, strength: Tensor) -> Tensor:
    """Stretch each channel to the range [0, 1]; a flat one stays."""
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    return torch.where(high > low, (x - low) / (high - low), x)


def equalize(x: Tensor, strength: Tensor) -> Tensor:
    """Make each of the 256 levels of a channel about as frequent as any other."""
    levels = (255 * x).round().long().flatten(2)
    ordered = levels.sort(2).values
    darker = torch.searchsorted(ordered, levels)  # how many pixels are darker than each
    step = torch.searchsorted(ordered, ordered[:, :, -1:].contiguous()) // 255
    equal = (darker + step // 2).div(step.clamp_min(1), rounding_mode="floor").clamp_max(255)
    return torch.where(step > 0, equal, levels).view(x.shape).to(x.dtype) / 255


def posterize(x: Tensor, strength: Tensor) -> Tensor:
    """Keep the 1 to 4 highest bits of each value."""
    width = 2 ** (7 - (4 * strength).floor().clamp_max(3))
    return torch.floor((255 * x).round() / width) * width / 255


def solarize(x: Tensor, strength: Tensor) -> Tensor:
    """Invert the values from a threshold on, 0 to 1."""
    return torch.where(x >= strength, 1 - x, x)


def contrast(x: Tensor, strength: Tensor) -> Tensor:
    """Blend with the mean luma of the image; the share of the image is 0.1 to 1.9."""
    luma = 0.299 * x[:, :1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:]
    return _blend(luma.mean((2, 3), keepdim=True), x, strength)


def brightness(x: Tensor, strength: Tensor) -> Tensor:
    """Blend with black; the share of the image is 0.1 to 1.9."""
    return _blend(torch.zeros_like(x), x, strength)


def sharpness(x: Tensor, strength: Tensor) -> Tensor:
    """Blend with the smoothed image, whose border is not smoothed; the share of the image is 0.1 to 1.9."""
    around = F.avg_pool2d(x, 3, stride=1) * 9
    inner = x[:, :, 1:-1, 1:-1]
    return _blend(x + F.pad((around + 4 * inner) / 13 - inner, (1, 1, 1, 1)), x, strength)


def rotate(x: Tensor, strength: Tensor) -> Tensor:
    """Rotate by -30 to 30 degrees about the centre."""
    angle = math.radians(30) * _signed(strength)
    return _warped(x, [[angle.cos(), -angle.sin(), 0], [angle.sin(), angle.cos(), 0]])


def shear_x(x: Tensor, strength: Tensor) -> Tensor:
    """Shear along the rows, by -0.3 to 0.3."""
    return _warped(x, [[1, 0.3 * _signed(strength), 0], [0, 1, 0]])


def shear_y(x: Tensor, strength: Tensor) -> Tensor:
    """Shear along the columns, by -0.3 to 0.3."""
    return _warped(x, [[1, 0, 0], [0.3 * _signed(strength), 1, 0]])


def translate_x(x: Tensor, strength: Tensor) -> Tensor:
    """Move along the rows, by up to half the width."""
    return _warped(x, [[1, 0, x.shape[3] / 2 * _signed(strength)], [0, 1, 0]])


def translate_y(x: Tensor, strength: Tensor) -> Tensor:
    """Move along the columns, by up to half the height."""
    return _warped(x, [[1, 0, 0], [0, 1, x.shape[2] / 2 * _signed(strength)]])


OPERATIONS: dict[str, Operation] = {
    operation.__name__: operation
    for operation in (
        autocontrast,
        equalize,
        posterize,
        solarize,
        contrast,
        brightness,
        sharpness,
        rotate,
        shear_x,
        shear_y,
        translate_x,
        translate_y,
    )
}


def _signed(strength: Tensor) -> Tensor:
    return 2 * strength.flatten() - 1


def _blend(other: Tensor, x: Tensor, strength: Tensor) -> Tensor:
    share = 0.1 + 1.8 * strength
    return (share * x + (1 - share) * other).clamp(0, 1)


def _warped(x: Tensor, pixels: list[list[Tensor | float]]) -> Tensor:
    """Read each pixel where a 2x3 matrix in pixels about the centre sends it, bilinear, black beyond the border."""
    height, width = x.shape[2:]
    # grid_sample measures both axes in half the image.
    units = [[1, height / width, 2 / width], [width / height, 1, 2 / height]]
    entries = [
        unit * entry + x.new_zeros(len(x))
        for row, scales in zip(pixels, units, strict=True)
        for entry, unit in zip(row, scales, strict=True)
    ]
    grid = F.affine_grid(torch.stack(entries, 1).view(-1, 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="zeros", align_corners=False)
