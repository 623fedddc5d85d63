"""How far a protected image may be from the original."""

import difflib
import re

from pydantic import BaseModel, ConfigDict, model_validator
from torch import Tensor

from bench.core.errors import SepbenchError
from bench.core.norms import NORMS, Ball, Norm, budget_text

__all__ = ["Budget", "Norm"]


class Budget(BaseModel):
    """A norm ball around every image.

    `size` counts levels of 1/255 for linf and changed pixel positions for l0, whole numbers, and is on the [0, 1] pixel
    scale for l2, where it bounds the norm of the whole perturbation of one image. It is None for `unbounded`, which
    bounds nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    norm: Norm
    size: float | None = None

    @model_validator(mode="after")
    def _sized_where_there_is_a_bound(self) -> "Budget":
        if (self.size is None) != (self._ball.bound is None):
            raise SepbenchError(
                f"a budget of norm {self.norm} {'needs a size' if self.size is None else 'has no size'}"
            )
        return self

    @classmethod
    def parse(cls, text: str) -> "Budget":
        """Read `linf-8`, `l2-1.0`, `l0-1` or `unbounded`.

        Raises `SepbenchError` for anything else, or a size out of range.
        """
        norm, dash, size = text.partition("-")
        ball = NORMS.get(norm)
        numbered = re.fullmatch(r"-?\d+(?:\.\d+)?", size) if dash else None
        if ball is None or bool(numbered) != (ball.bound is not None) or bool(numbered) != bool(dash):
            *usages, last = (one.usage for one in NORMS.values())
            meant = _meant(text)
            raise SepbenchError(
                f"'{text}' is not a budget: "
                + (f"did you mean {meant}?" if meant else f"write {', '.join(usages)}, or {last}")
            )
        mistake = ball.size_mistake(float(size)) if numbered else None
        if mistake is not None:
            raise SepbenchError(f"budget '{text}' {mistake}")
        return cls.model_validate({"norm": norm, "size": float(size) if numbered else None})

    def __str__(self) -> str:
        return budget_text(self.norm, self.size)

    @property
    def radius(self) -> float:
        """How many times the unit step of `direction` reaches the edge of the ball, on the [0, 1] pixel scale.

        The size for linf and l2; 1 for l0 and unbounded, where a pixel may take any value.
        """
        return self._ball.radius(self.size or 0)

    def project(self, clean: Tensor, images: Tensor) -> Tensor:
        """Return the images, [N, 3, H, W] of any values, moved into the ball around the clean ones and into [0, 1].

        Under linf and l2 to the nearest point of the ball, then clipped; under l0 they are clipped, and those positions
        stay changed that changed most; unbounded they are clipped.
        """
        return self._ball.project(clean, images, self.size or 0)

    def direction(self, gradient: Tensor) -> Tensor:
        """Return the steepest unit step for a gradient, [N, 3, H, W].

        Its sign (linf, unbounded), each image's gradient at norm 1 (l2), or its sign where it is largest, in as many
        positions of each image as may change (l0). NaN where the gradient is not finite: such images are not released.
        """
        return self._ball.direction(gradient, self.size or 0)

    @property
    def _ball(self) -> Ball:
        return NORMS[self.norm]


UNLIMITED = Budget(norm="unbounded", size=None)
"""The ball that holds every image: what a method that adds nothing is given."""


def _meant(text: str) -> str | None:
    """Return the budget that somebody may have meant who wrote none, such as `linf-8` for `Linf8` or `inf-8`."""
    parts = re.fullmatch(r"([a-z]+(?:2|0)?)[-_ =]?(\d+(?:\.\d+)?)?", text.strip().lower())
    close = difflib.get_close_matches(parts[1], NORMS, n=1, cutoff=0.7) if parts else []
    if not parts or not close:
        return None
    ball = NORMS[close[0]]
    if ball.bound is None:
        return close[0]
    fits = parts[2] is not None and ball.size_mistake(float(parts[2])) is None
    return f"{close[0]}-{parts[2]}" if fits else None
