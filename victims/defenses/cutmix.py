"""CutMix: a box of every image comes from another one, and so does that share of its label."""

import torch
from torch import Tensor

from bench.api import DEFENSES, Defense, Field, Params
from victims.defenses._mixing import beta, probabilities
from victims.defenses._spans import span


class CutmixParams(Params):
    """Parameters of CutMix."""

    alpha: float = Field(1.0, ge=1e-3, le=100, description="the proportion kept is drawn from Beta(alpha, alpha)")


@DEFENSES.register("cutmix")
class Cutmix(Defense[CutmixParams]):
    """A box of every image of a batch is pasted from another one, and the targets are mixed by its area.

    One box for each batch, as in the authors' code, and every batch gets one: of the drawn share of the area, at a
    uniform centre, cut off at the border. The targets follow the area that is left of it. Image Shortcut Squeezing
    draws a box for each image instead.

    Source: Yun et al., CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features,
    ICCV 2019.
    """

    cite = "yun2019cutmix"
    words = "pasting pieces of one picture into another"

    def batch(self, x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return images with a box from another one, and mixed targets, [B, C]."""
        height, width = x.shape[-2:]
        side = (1 - beta(self.params.alpha, generator)).sqrt()
        row = torch.randint(height, (), generator=generator, device=x.device)
        column = torch.randint(width, (), generator=generator, device=x.device)
        box = _side(side, row, height)[:, None] & _side(side, column, width)
        partner = torch.randperm(len(x), generator=generator, device=x.device)
        y = probabilities(y, self.classes)
        return torch.where(box, x[partner], x), torch.lerp(y, y[partner], box.float().mean())


def _side(share: Tensor, centre: Tensor, length: int) -> Tensor:
    # The authors' code goes half a side, rounded down, to either direction: an odd side loses a pixel.
    return span(centre, (share * length).long() // 2 * 2, length)
