"""A tiny smooth network in double precision, and SGD on it written out: what slow versions of methods are made of."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.contracts.context import CraftContext
from bench.contracts.method import CraftData
from bench.contracts.network import Classifier, Network
from bench.contracts.normalisation import Constants
from tests.making.images import noise
from tests.making.networks import CPU

SIDE, CLASSES = 6, 3


class Tiny(Classifier):
    """One convolution with a batch norm; everything it computes is smooth."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(16, classes)

    def features(self, x: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(torch.tanh(self.norm(self.conv(x))), 2).flatten(1)


def tiny_network(
    architecture: str,
    classes: int,
    images: Tensor,
    *,
    normalise: bool,
    seed: int,
    device: torch.device,
    constants: Constants | None = None,
) -> Network:
    """Return a tiny network in double precision where a method asks for one of the harness."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        classifier = Tiny(classes)
    mean, std = (constants.mean, constants.std) if constants else ((0.0,) * 3, (1.0,) * 3)
    return Network(classifier, torch.tensor(mean), torch.tensor(std)).double()


@pytest.fixture
def tiny_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let methods train tiny networks in double precision."""
    monkeypatch.setattr("bench.engine.learner.build_network", tiny_network)


def pictures(count: int) -> CraftData:
    """Return images of random pixels in double precision, some black and some white, whose classes take turns."""
    return CraftData(noise(count, SIDE).double() / 255, torch.arange(count) % CLASSES, CLASSES, torch.arange(count))


def context(count: int) -> CraftContext:
    return CraftContext([], seed=3, device=CPU, images=count, architecture="tiny")


class SlowSGD:
    """SGD with momentum, weight decay and a bound on the gradient, weight by weight."""

    def __init__(self, network: nn.Module, momentum: float, decay: float, clip: float | None = None) -> None:
        self.network = network
        self._momentum, self._decay, self._clip = momentum, decay, clip
        self._velocity: list[Tensor] = [torch.zeros_like(weight) for weight in network.parameters()]

    def step(self, x: Tensor, y: Tensor, rate: float) -> None:
        """Learn from a batch in train mode."""
        self.network.train().zero_grad()
        logits = self.network(x)
        losses = [one.logsumexp(0) - one[label] for one, label in zip(logits, y.tolist(), strict=True)]
        loss: Any = sum(losses) / len(losses)
        loss.backward()
        self.network.eval()
        gradients = [weight.grad for weight in self.network.parameters() if weight.grad is not None]
        length = sum(float((gradient**2).sum()) for gradient in gradients) ** 0.5
        shrunk = 1.0 if self._clip is None else min(1.0, self._clip / (length + 1e-6))
        with torch.no_grad():
            for weight, gradient, velocity in zip(self.network.parameters(), gradients, self._velocity, strict=True):
                velocity.mul_(self._momentum).add_(shrunk * gradient + self._decay * weight)
                weight.sub_(rate * velocity)


def mistakes(network: nn.Module, x: Tensor, y: Tensor) -> float:
    """Return the share of images that a network takes for another class, image by image."""
    with torch.no_grad():
        wrong = [bool(network(image[None])[0].argmax() != label) for image, label in zip(x, y.tolist(), strict=True)]
    return sum(wrong) / len(wrong)


def within(clean: Tensor, moved: Tensor, radius: float) -> Tensor:
    """Return an image within a budget of linf around a clean one, and within [0, 1]."""
    return (clean + (moved - clean).clamp(-radius, radius)).clamp(0, 1)
