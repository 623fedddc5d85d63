"""A tiny network without kinks, whose gradients may be differentiated by differences."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.contracts.network import Classifier, Network
from tests.making.images import seeded


class Smooth(Classifier):
    """A convolution, a batch norm with statistics of its own, and a head."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 4, 3, padding=1, stride=2), nn.BatchNorm2d(4)
        self.head = nn.Linear(4, classes)

    def features(self, x: Tensor) -> Tensor:
        return F.softplus(self.norm(self.convolution(x))).square().mean((2, 3))


def smooth_network(classes: int = 10) -> Network:
    """Return one in double precision and eval mode, the same each time."""
    network = Network(Smooth(classes), torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.3, 0.25])).double().eval()
    generator = seeded(3)
    with torch.no_grad():
        for value in [*network.parameters(), *(one for one in network.buffers() if one.is_floating_point())][:-2]:
            value.copy_(
                torch.rand(value.shape, generator=generator, dtype=torch.float64) + 0.1 - 0.6 * (value.dim() > 1)
            )
    return network
