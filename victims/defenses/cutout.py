"""Cutout: a square of every image is hidden from the network."""

import torch
from torch import Tensor

from bench.api import DEFENSES, Defense, Field, Params
from victims.defenses._spans import span


class CutoutParams(Params):
    """Parameters of cutout."""

    size: int = Field(16, ge=1, le=1024, description="side of the square in pixels, whatever the size of the images")


@DEFENSES.register("cutout")
class Cutout(Defense[CutoutParams]):
    """One square of each image turns black, anew in every batch.

    Its centre is uniform over the pixels of the image, so that part of it may lie outside. Black is 0 before the
    network normalises; the paper sets the square to 0 after normalisation, which is the mean of the training images.

    Source: DeVries and Taylor, Improved Regularization of Convolutional Neural Networks with Cutout, 2017.
    """

    cite = "devries2017improved"
    short = "size"
    words = "blacking out squares of {size} pixels"

    def batch(self, x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Blacken a square of each image; labels stay."""
        count, _, height, width = x.shape
        row = torch.randint(height, (count, 1), generator=generator, device=x.device)
        column = torch.randint(width, (count, 1), generator=generator, device=x.device)
        rows = span(row, self.params.size, height)[..., None]
        columns = span(column, self.params.size, width)[..., None, :]
        return x.masked_fill(rows & columns, 0), y
