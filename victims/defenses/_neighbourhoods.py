"""Filters that make each pixel anew from the square around it."""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import field_validator
from torch import Tensor

from bench.api import Field, Params

_PIXELS_AT_ONCE = 2**21


class FilterParams(Params):
    """Parameters of a filter."""

    size: int = Field(3, ge=3, le=9, description="side of the square in pixels, odd")

    @field_validator("size")
    @classmethod
    def _odd(cls, size: int) -> int:
        if size % 2 == 0:
            raise ValueError(f"a square around a pixel has an odd side, not {size}")
        return size


def filtered(
    images: Tensor, size: int, reduce: Callable[[Tensor], Tensor], border: Literal["reflect", "replicate"] = "reflect"
) -> Tensor:
    """Return each pixel and channel made from its neighbourhood, rounded to the nearest level.

    Parameters
    ----------
    images
        uint8 [N, 3, H, W].
    size
        Side of the neighbourhood, odd.
    reduce
        From neighbourhoods, float32 [n, 3, H, W, size * size] in levels, row by row, to pixels, [n, 3, H, W].

    border
        What lies beyond the border: the image mirrored, without repeating the pixels at it, or these pixels again.

    Returns
    -------
    uint8 [N, 3, H, W].

    """
    margin = size // 2

    def part(chunk: Tensor) -> Tensor:
        padded = F.pad(chunk.float(), (margin, margin, margin, margin), mode=border)
        windows = padded.unfold(2, size, 1).unfold(3, size, 1).flatten(-2)
        return reduce(windows).round_().clamp_(0, 255).to(torch.uint8)

    count = max(_PIXELS_AT_ONCE // images[0].numel(), 1)
    return torch.cat([part(chunk) for chunk in images.split(count)])
