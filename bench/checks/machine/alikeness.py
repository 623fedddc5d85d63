"""How far what a device computes agrees with what it should be."""

import torch
import torch.nn.functional as F
from torch import Tensor

_TINY = 0.1
"""Of an image's root mean square: rounding alone may turn the sign of what is smaller."""

_OF_IMAGES = 0.01
"""The cosine that all but this share of the images reach: a gradient that is nearly zero has no direction."""


def alike(found: Tensor, wanted: Tensor) -> tuple[float, float]:
    """Return how alike two gradients of images, [N, 3, H, W], are.

    Returns
    -------
    The cosine that 99 % of the images reach, and the share of equal signs where the wanted gradient is not tiny.

    """
    first, second = _flat(found), _flat(wanted)
    cosines = F.cosine_similarity(first, second)
    large = second.abs() > _TINY * second.square().mean(1, keepdim=True).sqrt()
    return float(cosines.quantile(_OF_IMAGES)), _equal_signs(first, second, large)


def moved_alike(found: Tensor, wanted: Tensor, clean: Tensor) -> float:
    """Return the share of pixels that two protections, [N, 3, H, W], move the same way, of those moved by a level."""
    first, second = _flat(found) - _flat(clean), _flat(wanted) - _flat(clean)
    return _equal_signs(first, second, second.abs() >= 1 / 255)


def distance(found: Tensor, wanted: Tensor, start: Tensor) -> float:
    """Return how far one is from the other, as a share of how far that is from where both began; any shapes."""
    first, second, origin = (one.detach().double().cpu() for one in (found, wanted, start))
    return float((first - second).norm() / (second - origin).norm())


def _flat(images: Tensor) -> Tensor:
    return images.detach().double().cpu().flatten(1)


def _equal_signs(first: Tensor, second: Tensor, where: Tensor) -> float:
    equal = (first.sign() == second.sign()) & where
    return float(equal.sum() / where.sum()) if bool(where.any()) else float("nan")


def flattened(tensors: list[Tensor]) -> Tensor:
    """Return tensors as one vector."""
    return torch.cat([one.detach().flatten() for one in tensors])
