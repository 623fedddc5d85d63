"""COIN: every pixel is read from a place nearby, which breaks up what convolutions or colours wrote into the image."""

import torch
from torch import Tensor

from bench.api import DEFENSES, Defense, Field, Params


class CoinParams(Params):
    """Parameters of COIN."""

    alpha: float = Field(2.0, gt=0, le=64, description="largest displacement in pixels, along each axis")


@DEFENSES.register("coin")
class Coin(Defense[CoinParams]):
    """Every pixel moves at random, by bilinear interpolation, anew in every batch.

    Each pixel of each image has two displacements of its own, uniform in [-alpha, alpha], for all its channels. The
    image goes on with its opposite side beyond the border. Applied after crop and flip, as in the authors' code.

    Source: Li et al., Detecting and Corrupting Convolution-based Unlearnable Examples, AAAI 2025.
    """

    cite = "li2025detecting"
    words = "random displacement of pixels"

    def batch(self, x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Displace the pixels of each image; labels stay."""
        count, _, height, width = x.shape
        draws = torch.rand(2, count, height, width, generator=generator, device=x.device)
        down, right = (2 * draws - 1) * self.params.alpha
        return displaced(x, down, right), y


def displaced(x: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Return images whose pixels are read `down` and `right` of their place.

    Parameters
    ----------
    x
        float [B, 3, H, W] in [0, 1].
    down, right
        float [B, H, W], in pixels.

    """
    height, width = x.shape[-2:]
    row = torch.arange(height, device=x.device)[:, None] + down
    column = torch.arange(width, device=x.device) + right
    top, left = row.floor(), column.floor()
    sample = torch.arange(len(x), device=x.device)[:, None, None]
    pixels = x.permute(0, 2, 3, 1)

    def read(rows: Tensor, columns: Tensor) -> Tensor:
        return pixels[sample, rows.long() % height, columns.long() % width]

    across, along = (column - left)[..., None], (row - top)[..., None]
    above = torch.lerp(read(top, left), read(top, left + 1), across)
    below = torch.lerp(read(top + 1, left), read(top + 1, left + 1), across)
    return torch.lerp(above, below, along).permute(0, 3, 1, 2)
