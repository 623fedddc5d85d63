"""GoogLeNet in its CIFAR form: a 3x3 stem, batch norm after every convolution, no auxiliary heads.

Szegedy et al., "Going Deeper with Convolutions", CVPR 2015 (channels of table 1); the 5x5 convolutions are pairs of
3x3 ones, as in the same authors' "Rethinking the Inception Architecture for Computer Vision", CVPR 2016.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.api import ARCHITECTURES, Classifier


class Inception(nn.Module):
    """Four branches side by side: 1x1; 1x1 and 3x3; 1x1 and two 3x3; max-pool and 1x1.

    Parameters
    ----------
    inputs
        Channels of the input.
    one, three, five, pooled
        Output channels of the branches.
    reduce_three, reduce_five
        Channels between the 1x1 and the larger convolution.

    """

    def __init__(
        self, inputs: int, one: int, reduce_three: int, three: int, reduce_five: int, five: int, pooled: int
    ) -> None:
        super().__init__()
        self.one = _convolution(inputs, one, 1)
        self.three = nn.Sequential(_convolution(inputs, reduce_three, 1), _convolution(reduce_three, three, 3))
        self.five = nn.Sequential(
            _convolution(inputs, reduce_five, 1), _convolution(reduce_five, five, 3), _convolution(five, five, 3)
        )
        self.pooled = nn.Sequential(nn.MaxPool2d(3, 1, 1), _convolution(inputs, pooled, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, one + three + five + pooled, H, W]."""
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pooled(x)], 1)


def _convolution(inputs: int, outputs: int, side: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inputs, outputs, side, 1, side // 2), nn.BatchNorm2d(outputs), nn.ReLU())


class GoogLeNet(Classifier):
    """A stem of 192 channels, nine inception modules with two max-pools between them, global pooling, a head."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stages = nn.Sequential(
            _convolution(3, 192, 3),
            Inception(192, 64, 96, 128, 16, 32, 32),
            Inception(256, 128, 128, 192, 32, 96, 64),
            nn.MaxPool2d(3, 2, 1),
            Inception(480, 192, 96, 208, 16, 48, 64),
            Inception(512, 160, 112, 224, 24, 64, 64),
            Inception(512, 128, 128, 256, 24, 64, 64),
            Inception(512, 112, 144, 288, 32, 64, 64),
            Inception(528, 256, 160, 320, 32, 128, 128),
            nn.MaxPool2d(3, 2, 1),
            Inception(832, 256, 160, 320, 32, 128, 128),
            Inception(832, 384, 192, 384, 48, 128, 128),
        )
        self.head = nn.Linear(1024, classes)

    def features(self, x: Tensor) -> Tensor:
        """Return the pooled output of the last inception module."""
        return F.adaptive_avg_pool2d(self.stages(x), 1).flatten(1)


@ARCHITECTURES.register("googlenet")
def googlenet(classes: int) -> Classifier:
    """GoogLeNet with a 3x3 stem: nine inception modules with batch norm, 6.2 M parameters."""
    return GoogLeNet(classes)
