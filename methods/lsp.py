"""Patches of colour from which a linear classifier can tell the classes.

Yu et al., "Availability Attacks Create Shortcuts", KDD 2022.
"""

import math

import torch
from torch import Tensor

from bench.api import METHODS, Budget, CraftContext, CraftData, Field, Method, Params, Rounding, SepbenchError

_SEPARATION = 10.0
"""Distance of the classes' means from 0 in each coordinate, where the spread about them is of some units."""


class LSPParams(Params):
    """Parameters of the linearly separable patches."""

    patch: int = Field(8, ge=1, description="side of the squares of one colour, in pixels")
    truncate: bool = Field(False, description="as released: cut to uint8 instead of rounding; leaves the budget")


@METHODS.register("lsp")
class LSP(Method[LSPParams]):
    """Squares of one colour each, drawn so that the perturbations of all classes are linearly separable.

    Vectors of one value for each square and channel are drawn about the mean of their class, a corner of a hypercube
    that no other class has, with a linear mixing of the class's own; an image's vector is its own. As an image it is
    scaled to exactly the norm of the budget, and the sum is clipped to [0, 1]. Published with an l2 norm of
    6/255 * sqrt(3 * 32 * 32), l2-1.304.
    """

    norms = ("l2",)
    per_sample = True
    cite = "yu2022availability"

    @property
    def rounding(self) -> Rounding:
        """How the harness turns the crafted images into bytes."""
        return "truncate" if self.params.truncate else "nearest"

    def craft(self, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        """Add to each image its squares."""
        height, width = data.x.shape[-2:]
        patch = self.params.patch
        rows, columns = math.ceil(height / patch), math.ceil(width / patch)
        vectors = self._vectors(data, ctx, 3 * rows * columns).to(data.x)
        squares = vectors.view(-1, 3, rows, columns)
        noise = squares.repeat_interleave(patch, 2).repeat_interleave(patch, 3)[..., :height, :width]
        return budget.project(data.x, data.x + budget.radius * budget.direction(noise))

    def _vectors(self, data: CraftData, ctx: CraftContext, length: int) -> Tensor:
        """Return one vector for each image, [N, length]."""
        corners = _SEPARATION * _distinct_signs(data.classes, length, ctx.generator("corners"))
        mixing = 2 * torch.rand(data.classes, length, length, generator=ctx.generator("mixing")) - 1
        # Drawn for the whole training set: what an image gets does not depend on the shard it is in.
        drawn = torch.randn(ctx.images, length, generator=ctx.generator("images"))[data.index.cpu()]
        labels = data.y.cpu()
        vectors = corners[labels]
        for label in labels.unique():
            vectors[labels == label] += drawn[labels == label] @ mixing[label]
        return vectors


def _distinct_signs(count: int, length: int, generator: torch.Generator) -> Tensor:
    """Return random rows of -1 and 1, [count, length], of which no two are the same."""
    if count > 2**length:
        raise SepbenchError(
            f"lsp: squares of this size give {length} values an image, too few to tell {count} classes: lower patch"
        )
    rows: dict[tuple[int, ...], None] = {}
    while len(rows) < count:
        rows[tuple((2 * torch.randint(2, (length,), generator=generator) - 1).tolist())] = None
    return torch.tensor(list(rows), dtype=torch.float32)
