"""How far a protected image may be from the original."""

import re
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from bench.core.errors import SepbenchError

Norm = Literal["linf", "l2"]


class Budget(BaseModel):
    """A norm ball around every image.

    `size` counts levels of 1/255 for linf (a whole number, since protected sets are released as 8-bit images)
    and is on the [0, 1] pixel scale for l2, where it bounds the norm of the whole perturbation of one image.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    norm: Norm
    size: float

    @classmethod
    def parse(cls, text: str) -> "Budget":
        """Read `linf-8` or `l2-1.0`; raises `SepbenchError` for anything else, or a size out of range."""
        match = re.fullmatch(r"(linf|l2)-(-?\d+(?:\.\d+)?)", text)
        if match is None:
            raise SepbenchError(
                f"'{text}' is not a budget: write linf-LEVELS, such as linf-8, or l2-NORM, such as l2-1.0"
            )
        norm, size = match[1], float(match[2])
        if size < 0:
            raise SepbenchError(f"budget '{text}' is negative: a budget is at least 0")
        if norm == "linf" and (size > 255 or size != int(size)):
            raise SepbenchError(f"budget '{text}' is not a whole number of 1/255 levels from 0 to 255")
        return cls(norm="linf" if norm == "linf" else "l2", size=size)

    def __str__(self) -> str:
        return f"{self.norm}-{self.size:g}"

    @property
    def radius(self) -> float:
        """The size on the [0, 1] pixel scale."""
        return self.size / 255 if self.norm == "linf" else self.size

    def project(self, clean: Tensor, images: Tensor) -> Tensor:
        """Return the images, [N, 3, H, W] in [0, 1], moved to the nearest point of the ball, then clipped to [0, 1]."""
        if self.norm == "linf":
            return torch.clamp(torch.clamp(images, clean - self.radius, clean + self.radius), 0, 1)
        delta = images - clean
        norms = delta.flatten(1).norm(dim=1).clamp_min(1e-12)
        return torch.clamp(clean + delta * (self.radius / norms).clamp(max=1)[:, None, None, None], 0, 1)

    def direction(self, gradient: Tensor) -> Tensor:
        """Return the steepest unit step for a gradient: its sign (linf), or each image's gradient at norm 1 (l2)."""
        if self.norm == "linf":
            return gradient.sign()
        unit: Tensor = gradient / gradient.flatten(1).norm(dim=1).clamp_min(1e-30)[:, None, None, None]
        return unit


UNLIMITED = Budget(norm="linf", size=255)
"""The ball that holds every image, whatever its centre: what a method that keeps no norm is given."""
