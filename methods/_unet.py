"""A U-Net from images to perturbations of images: what generators of noise are, in DeepConfuse and after it."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LEVELS = 4


class UNet(nn.Module):
    """From images, [B, 3, H, W], to values in [-1, 1] of that shape.

    On each of four levels there are two convolutions of 3x3, each with batch norm and ReLU, on the way down and, except
    on the lowest one, on the way up. Levels are half as large as those above, by average pooling, and have twice
    as many channels; on the way up they are enlarged bilinearly and stand beside what the level was on the way down. A
    convolution of 1x1, a batch norm and a tanh end it. Images may have any size: where a side is odd, the level below
    has half of it, rounded up.

    Parameters
    ----------
    width
        Channels of the uppermost level.

    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(_LEVELS)]
        self.down = nn.ModuleList(_two_convolutions(before, after) for before, after in pairwise([3, *widths]))
        self.up = nn.ModuleList(_two_convolutions(wide + narrow, narrow) for wide, narrow in pairwise(widths[::-1]))
        # A batch norm takes away what a bias before it adds.
        self.last = nn.Sequential(nn.Conv2d(width, 3, 1, bias=False), nn.BatchNorm2d(3), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        """Return the values."""
        levels = [self.down[0](x)]
        for block in self.down[1:]:
            levels.append(block(F.avg_pool2d(levels[-1], 2, ceil_mode=True)))
        x = levels.pop()
        for block in self.up:
            beside = levels.pop()
            enlarged = F.interpolate(x, beside.shape[-2:], mode="bilinear", align_corners=False)
            x = block(torch.cat([enlarged, beside], 1))
        values: Tensor = self.last(x)
        return values


def _two_convolutions(before: int, after: int) -> nn.Sequential:
    layers = [
        layer
        for channels in (before, after)
        for layer in (nn.Conv2d(channels, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU())
    ]
    return nn.Sequential(*layers)
