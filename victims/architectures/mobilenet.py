"""MobileNet-V2 in its CIFAR form: stride 1 in the stem and in the first stage that halves the resolution.

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018. As this literature uses it, a block
without expansion keeps its first 1x1 convolution, a block of stride 1 that changes the number of channels has a 1x1
shortcut, and activations are not clipped at 6.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from bench.api import ARCHITECTURES, Classifier

# Expansion, output channels, blocks, stride of the first block: table 2 of the paper but for the second row's stride.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class InvertedResidual(nn.Module):
    """Expand with a 1x1, filter each channel with a 3x3, project with a 1x1 convolution; a shortcut at stride 1."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = expansion * inputs
        self.expand = nn.Sequential(nn.Conv2d(inputs, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU())
        self.filter = nn.Sequential(
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False), nn.BatchNorm2d(hidden), nn.ReLU()
        )
        self.project = _linear(hidden, outputs)
        self.shortcut: nn.Module | None = None
        if stride == 1:
            self.shortcut = nn.Sequential() if inputs == outputs else _linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, outputs, H / stride, W / stride]."""
        y: Tensor = self.project(self.filter(self.expand(x)))
        return y if self.shortcut is None else y + self.shortcut(x)


def _linear(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))


class MobileNetV2(Classifier):
    """A stem of 32 channels, stages of inverted residuals, a 1x1 convolution to 1280, global pooling, a head."""

    def __init__(self, stages: Sequence[tuple[int, int, int, int]], classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, 32, 3, 1, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU()]
        inputs = 32
        for expansion, width, count, stride in stages:
            for position in range(count):
                layers.append(InvertedResidual(inputs, width, expansion, stride if position == 0 else 1))
                inputs = width
        layers += [nn.Conv2d(inputs, 1280, 1, bias=False), nn.BatchNorm2d(1280), nn.ReLU()]
        self.stages = nn.Sequential(*layers)
        self.head = nn.Linear(1280, classes)

    def features(self, x: Tensor) -> Tensor:
        """Return the pooled output of the last convolution."""
        return F.adaptive_avg_pool2d(self.stages(x), 1).flatten(1)


@ARCHITECTURES.register("mobilenet-v2")
def mobilenet_v2(classes: int) -> Classifier:
    """MobileNet-V2 for small images: inverted residuals, 32 to 1280 channels, 2.3 M parameters."""
    return MobileNetV2(_STAGES, classes)
