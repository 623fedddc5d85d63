"""VGG networks in their CIFAR form: batch norm after every convolution, and one linear layer.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015
(configuration D).
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from bench.api import ARCHITECTURES, Classifier


class VGG(Classifier):
    """Stages of 3x3 convolutions, each ended by a max-pool; global pooling; a head.

    Parameters
    ----------
    stages
        Output channels of the convolutions of each stage.
    classes
        Outputs of the head.

    """

    def __init__(self, stages: Sequence[Sequence[int]], classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for widths in stages:
            for width in widths:
                layers += [nn.Conv2d(inputs, width, 3, 1, 1), nn.BatchNorm2d(width), nn.ReLU()]
                inputs = width
            # Rounding up lets images of less than 32 pixels through; at multiples of 32 it changes nothing.
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        self.stages = nn.Sequential(*layers)
        self.head = nn.Linear(inputs, classes)

    def features(self, x: Tensor) -> Tensor:
        """Return the pooled output of the last stage, which at 32 pixels is its only position."""
        return F.adaptive_avg_pool2d(self.stages(x), 1).flatten(1)


@ARCHITECTURES.register("vgg16")
def vgg16(classes: int) -> Classifier:
    """VGG-16 with batch norm and one linear layer: 13 convolutions, 64 to 512 channels, 14.7 M parameters."""
    return VGG([[64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3], classes)


@ARCHITECTURES.register("vgg7")
def vgg7(classes: int) -> Classifier:
    """Thin VGG for CPUs: 6 convolutions with batch norm, 16-32-64 channels, one linear layer, 0.07 M parameters."""
    return VGG([[16] * 2, [32] * 2, [64] * 2], classes)
