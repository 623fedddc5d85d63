"""Residual networks in their CIFAR form: a 3x3 stem and no max-pool.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016. `resnet18` and `resnet50` have the widths of the
ImageNet networks (64 to 512), as this literature uses them; `resnet8` is the thin CIFAR family of the paper with n = 1.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from bench.api import ARCHITECTURES, Classifier


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside an identity, or a 1x1 projection where the shape changes."""

    expansion = 1

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = _shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, outputs, H / stride, W / stride]."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + self.shortcut(x))


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1 ones, a quarter of the block's outputs wide, beside a shortcut."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = self.expansion * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.shortcut = _shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, 4 * width, H / stride, W / stride]."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + self.shortcut(x))


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    if stride == 1 and inputs == outputs:
        return nn.Sequential()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class ResNet(Classifier):
    """A stem, stages of blocks that halve the resolution from the second stage on, global pooling, a head.

    Parameters
    ----------
    blocks
        Number of blocks of each stage.
    widths
        Channels of each stage, before the block's expansion.
    classes
        Outputs of the head.
    block
        What the stages are made of.

    """

    def __init__(
        self,
        blocks: Sequence[int],
        widths: Sequence[int],
        classes: int,
        block: type[BasicBlock] | type[Bottleneck] = BasicBlock,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        layers: list[nn.Module] = []
        inputs = widths[0]
        for stage, (count, width) in enumerate(zip(blocks, widths, strict=True)):
            for position in range(count):
                layers.append(block(inputs, width, stride=2 if stage > 0 and position == 0 else 1))
                inputs = block.expansion * width
        self.blocks = nn.Sequential(*layers)
        self.head = nn.Linear(inputs, classes)

    def features(self, x: Tensor) -> Tensor:
        """Return the pooled output of the last stage."""
        x = self.blocks(F.relu(self.bn1(self.conv1(x))))
        return F.adaptive_avg_pool2d(x, 1).flatten(1)


@ARCHITECTURES.register("resnet8")
def resnet8(classes: int) -> Classifier:
    """Thin ResNet-8 for CPUs: 16-32-64 channels, one block a stage, 0.08 M parameters."""
    return ResNet((1, 1, 1), (16, 32, 64), classes)


@ARCHITECTURES.register("resnet18")
def resnet18(classes: int) -> Classifier:
    """ResNet-18 with a 3x3 stem: 64-128-256-512 channels, 11.2 M parameters."""
    return ResNet((2, 2, 2, 2), (64, 128, 256, 512), classes)


@ARCHITECTURES.register("resnet50")
def resnet50(classes: int) -> Classifier:
    """ResNet-50 with a 3x3 stem: bottleneck blocks, 3-4-6-3 of them, 23.5 M parameters."""
    return ResNet((3, 4, 6, 3), (64, 128, 256, 512), classes, Bottleneck)
