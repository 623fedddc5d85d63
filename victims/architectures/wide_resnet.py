"""Wide residual networks: few pre-activation blocks of many channels.

Zagoruyko and Komodakis, "Wide Residual Networks", BMVC 2016; without dropout.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from bench.api import ARCHITECTURES, Classifier


class WideBlock(nn.Module):
    """Norm, ReLU and 3x3 convolution twice, beside an identity or a 1x1 convolution of the activated input."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        changes = stride != 1 or inputs != outputs
        self.projection = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, outputs, H / stride, W / stride]."""
        active = F.relu(self.bn1(x))
        y: Tensor = self.conv2(F.relu(self.bn2(self.conv1(active))))
        return y + (x if self.projection is None else self.projection(active))


class WideResNet(Classifier):
    """A stem of 16 channels, three stages of blocks, norm and ReLU, global pooling, a head.

    Parameters
    ----------
    depth
        Number of convolutions on the longest path and of linear layers, 6 n + 4 for n blocks a stage.
    widening
        Factor on the stages' 16, 32 and 64 channels.
    classes
        Outputs of the head.

    """

    def __init__(self, depth: int, widening: int, classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        layers: list[nn.Module] = []
        inputs = 16
        for stage, width in enumerate((16, 32, 64)):
            for position in range((depth - 4) // 6):
                layers.append(WideBlock(inputs, widening * width, stride=2 if stage > 0 and position == 0 else 1))
                inputs = widening * width
        self.blocks = nn.Sequential(*layers)
        self.norm = nn.BatchNorm2d(inputs)
        self.head = nn.Linear(inputs, classes)

    def features(self, x: Tensor) -> Tensor:
        """Return the pooled output of the last stage."""
        x = F.relu(self.norm(self.blocks(self.stem(x))))
        return F.adaptive_avg_pool2d(x, 1).flatten(1)


@ARCHITECTURES.register("wrn-28-10")
def wrn_28_10(classes: int) -> Classifier:
    """Wide ResNet of depth 28, ten times as wide: 160-320-640 channels, 36.5 M parameters."""
    return WideResNet(28, 10, classes)
