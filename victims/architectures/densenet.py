"""Densely connected networks (DenseNet-BC) in their CIFAR form: a 3x3 stem and no max-pool.

Huang et al., "Densely Connected Convolutional Networks", CVPR 2017. `densenet121` has the blocks of the ImageNet
network; `densenet-cifar` is the same at growth 12, the thin one that this literature's released code calls DenseNet.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.api import ARCHITECTURES, Classifier


class DenseLayer(nn.Module):
    """Append `growth` channels, computed by a 1x1 and a 3x3 convolution, to the input's."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, 4 * growth, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, inputs + growth, H, W]."""
        y = self.conv1(F.relu(self.bn1(x)))
        y = self.conv2(F.relu(self.bn2(y)))
        return torch.cat([x, y], 1)


class Transition(nn.Module):
    """Compress the channels with a 1x1 convolution and halve the resolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(inputs)
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, outputs, H / 2, W / 2]."""
        return F.avg_pool2d(self.conv(F.relu(self.bn(x))), 2)


class DenseNet(Classifier):
    """A stem of 2 * growth channels, dense blocks with transitions between them, global pooling, a head.

    Parameters
    ----------
    blocks
        Number of layers of each dense block.
    growth
        Channels that each layer adds; transitions keep half of what there is.
    classes
        Outputs of the head.

    """

    def __init__(self, blocks: Sequence[int], growth: int, classes: int) -> None:
        super().__init__()
        channels = 2 * growth
        self.stem = nn.Conv2d(3, channels, 3, 1, 1, bias=False)
        layers: list[nn.Module] = []
        for block, count in enumerate(blocks):
            if block > 0:
                layers.append(Transition(channels, channels // 2))
                channels //= 2
            for _ in range(count):
                layers.append(DenseLayer(channels, growth))
                channels += growth
        self.blocks = nn.Sequential(*layers)
        self.norm = nn.BatchNorm2d(channels)
        self.head = nn.Linear(channels, classes)

    def features(self, x: Tensor) -> Tensor:
        """Return the pooled output of the last block."""
        x = F.relu(self.norm(self.blocks(self.stem(x))))
        return F.adaptive_avg_pool2d(x, 1).flatten(1)


@ARCHITECTURES.register("densenet121")
def densenet121(classes: int) -> Classifier:
    """DenseNet-121 with a 3x3 stem: growth 32, blocks of 6-12-24-16 layers, 7.0 M parameters."""
    return DenseNet((6, 12, 24, 16), 32, classes)


@ARCHITECTURES.register("densenet-cifar")
def densenet_cifar(classes: int) -> Classifier:
    """Thin DenseNet: growth 12, blocks of 6-12-24-16 layers, 1.0 M parameters."""
    return DenseNet((6, 12, 24, 16), 12, classes)
