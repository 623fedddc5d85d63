"""Squeeze-and-excitation network in its CIFAR form: pre-activation residual blocks, a 3x3 stem and no max-pool.

Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018; He et al., "Identity Mappings in Deep Residual Networks",
ECCV 2016. As this literature uses it, the last block's output goes to the pooling without a norm.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.api import ARCHITECTURES, Classifier


class SqueezeExcitation(nn.Module):
    """Scale each channel by a gate in (0, 1) computed from the means of all channels."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // reduction, 1)
        self.excite = nn.Conv2d(channels // reduction, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, channels, H, W]."""
        gate = F.relu(self.squeeze(F.adaptive_avg_pool2d(x, 1)))
        return x * torch.sigmoid(self.excite(gate))


class PreActivationSEBlock(nn.Module):
    """Norm, ReLU and 3x3 convolution twice, then squeeze-and-excitation, beside a shortcut.

    Where the shape changes, the shortcut is a 1x1 convolution of the activated input.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.gate = SqueezeExcitation(outputs, reduction=16)
        changes = stride != 1 or inputs != outputs
        self.projection = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, outputs, H / stride, W / stride]."""
        active = F.relu(self.bn1(x))
        y = self.conv2(F.relu(self.bn2(self.conv1(active))))
        gated: Tensor = self.gate(y)
        return gated + (x if self.projection is None else self.projection(active))


class SENet(Classifier):
    """A stem, stages of blocks that halve the resolution from the second stage on, global pooling, a head."""

    def __init__(self, blocks: Sequence[int], widths: Sequence[int], classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        layers: list[nn.Module] = []
        inputs = widths[0]
        for stage, (count, width) in enumerate(zip(blocks, widths, strict=True)):
            for position in range(count):
                layers.append(PreActivationSEBlock(inputs, width, stride=2 if stage > 0 and position == 0 else 1))
                inputs = width
        self.blocks = nn.Sequential(*layers)
        self.head = nn.Linear(inputs, classes)

    def features(self, x: Tensor) -> Tensor:
        """Return the pooled output of the last stage."""
        x = self.blocks(F.relu(self.bn1(self.conv1(x))))
        return F.adaptive_avg_pool2d(x, 1).flatten(1)


@ARCHITECTURES.register("senet18")
def senet18(classes: int) -> Classifier:
    """SENet-18 with a 3x3 stem: pre-activation blocks with squeeze-and-excitation, 11.3 M parameters."""
    return SENet((2, 2, 2, 2), (64, 128, 256, 512), classes)


@ARCHITECTURES.register("senet8")
def senet8(classes: int) -> Classifier:
    """Thin SENet-8 for CPUs: 16-32-64 channels, one block a stage, 0.08 M parameters."""
    return SENet((1, 1, 1), (16, 32, 64), classes)
