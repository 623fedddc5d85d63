"""One pixel for each class, at one place and in one colour.

Wu et al., "One-Pixel Shortcut: On the Learning Preference of Deep Neural Networks", ICLR 2023.
"""

from collections.abc import Callable, Iterator
from itertools import product

import torch
from torch import Tensor

from bench.api import METHODS, Budget, CraftContext, CraftData, Field, Method, Params

_COLOURS = torch.tensor(list(product((0.0, 1.0), repeat=3)), dtype=torch.float64)
"""The corners of the colour cube, [8, 3]."""


class OPSParams(Params):
    """Parameters of the search for a class's pixels."""

    as_released: bool = Field(
        False, description="score by mean over standard deviation of images and channels, not by the paper's ratio"
    )


@METHODS.register("ops")
class OPS(Method[OPSParams]):
    """In all images of a class the same pixels take one extreme colour, those that change most and most evenly.

    For each class, place and corner of the colour cube the change of a pixel is summed over its channels; the score is
    its mean over the class's images by its variance. Classes choose in their order, each as many places as the budget
    has pixels, and none a pair of place and colour that is taken. Nothing is drawn: the craft seed changes nothing.
    Published with l0-1.
    """

    norms = ("l0",)
    per_sample = True
    cite = "wu2023onepixel"

    def prepare(self, data: Callable[[], Iterator[CraftData]], ctx: CraftContext) -> None:
        """Score every pair of place and colour for each class, [classes, places, 8]."""
        shape = next(iter(data()))
        places = shape.x[0, 0].numel()
        counts = torch.zeros(shape.classes, dtype=torch.float64)
        first = torch.zeros(shape.classes, places, 3, dtype=torch.float64)
        second = torch.zeros(shape.classes, places, 3, 3, dtype=torch.float64)
        for part in data():
            pixels, labels = part.x.cpu().double().flatten(2).transpose(1, 2), part.y.cpu()  # [N, places, 3]
            for label in labels.unique():
                chosen = pixels[labels == label]
                counts[label] += len(chosen)
                first[label] += chosen.sum(0)
                second[label] += torch.einsum("npa,npb->pab", chosen, chosen)
        seen = counts.clamp_min(1)
        self.scores = _scores(first / seen[:, None, None], second / seen[:, None, None, None], self.params.as_released)

    def craft(self, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        """Set the pixels of each image's class."""
        height, width = data.x.shape[-2:]
        pixels = min(int(budget.size or 0), height * width)
        places, colours = _chosen(self.scores, pixels)
        x = data.x.clone().flatten(2)
        where = places.to(x.device)[data.y].unsqueeze(1).expand(-1, 3, -1)
        return x.scatter(2, where, _COLOURS[colours].to(x)[data.y].transpose(1, 2)).view_as(data.x)


def _scores(mean: Tensor, moment: Tensor, as_released: bool) -> Tensor:
    """Return the score of each class, place and colour, [classes, places, 8].

    `mean` is that of the pixels, [classes, places, 3], `moment` that of their products by pairs of channels,
    [classes, places, 3, 3]. A channel's change is x towards 0 and 1 - x towards 1: sign * x + colour.
    """
    signs = 1 - 2 * _COLOURS
    change = signs * mean.unsqueeze(2) + _COLOURS  # [classes, places, 8, 3]
    crossed = torch.einsum("ka,kb,cpab->cpkab", signs, signs, moment)
    mixed = torch.einsum("ka,cpa,kb->cpkab", signs, mean, _COLOURS)
    products = crossed + mixed + mixed.transpose(-1, -2) + torch.einsum("ka,kb->kab", _COLOURS, _COLOURS)
    if as_released:
        average = change.mean(-1)
        squared = products.diagonal(dim1=-2, dim2=-1).mean(-1)
        return average / (squared - average.square()).clamp_min(1e-12).sqrt()
    total = change.sum(-1)
    return total / (products.sum((-1, -2)) - total.square()).clamp_min(1e-12)


def _chosen(scores: Tensor, pixels: int) -> tuple[Tensor, Tensor]:
    """Return for each class its places, each once, and the colours there, int64 [classes, pixels].

    Of equal scores the first in reading order wins.
    """
    classes, colours = len(scores), scores.shape[2]
    left = scores.clone()
    chosen = torch.zeros(classes, pixels, dtype=torch.int64)
    for label in range(classes):
        for number in range(pixels):
            best = int(left[label].flatten().argmax())
            chosen[label, number] = best
            left[label, best // colours] = -torch.inf
            left[label + 1 :, best // colours, best % colours] = -torch.inf
    return chosen // colours, chosen % colours
