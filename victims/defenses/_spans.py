"""Stretches of pixels around drawn centres, from which cutout and cutmix make their boxes."""

import torch
from torch import Tensor


def span(centre: Tensor, size: Tensor | int, length: int) -> Tensor:
    """Return which of `length` positions lie in a stretch of `size` around each centre, bool [..., length].

    It starts half its size, rounded down, before the centre, int64 [...], and what lies outside is cut off.
    """
    first = (centre - size // 2)[..., None]
    position = torch.arange(length, device=centre.device)
    return (position >= first) & (position < first + size)
