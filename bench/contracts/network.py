"""Classifiers of images in [0, 1]: what an architecture plug-in builds, and how one is put together for a data set."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench.contracts import places
from bench.contracts.normalisation import Constants
from bench.core.errors import SepbenchError
from bench.core.registry import Registry


class Classifier(nn.Module):
    """Base of every architecture: penultimate features and a linear head.

    A subclass sets `head` and defines `features`: [B, 3, H, W] to [B, D] after global pooling.
    """

    head: nn.Linear

    def features(self, x: Tensor) -> Tensor:
        """Return the input of the head, [B, D]."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, [B, classes]."""
        logits: Tensor = self.head(self.features(x))
        return logits


Architecture = Callable[[int], Classifier]
"""From the number of classes to a freshly initialised network."""


class SizedArchitecture(ABC):
    """Base of architectures whose weights depend on the size of the images, as position embeddings do."""

    @abstractmethod
    def __call__(self, classes: int, size: tuple[int, int] | None = None) -> Classifier:
        """Return a freshly initialised network for images of `size` (height, width), or of its published size."""


ARCHITECTURES: Registry[Architecture] = Registry.at(
    places.ARCHITECTURES,
    lambda build: None if callable(build) else "it is no function from the number of classes to a network",
)


class Network(nn.Module):
    """A classifier that takes images in [0, 1] and normalises them itself.

    Parameters
    ----------
    classifier
        What an architecture built.
    mean, std
        Per channel, [3]; zeros and ones leave the images as they are.

    """

    mean: Tensor
    std: Tensor

    def __init__(self, classifier: Classifier, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.classifier = classifier
        self.register_buffer("mean", mean.view(1, 3, 1, 1).float())
        self.register_buffer("std", std.view(1, 3, 1, 1).float())

    def features(self, x: Tensor) -> Tensor:
        """Return the penultimate features, [B, D], of images [B, 3, H, W] in [0, 1]."""
        return self.classifier.features((x - self.mean) / self.std)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, [B, classes], of images [B, 3, H, W] in [0, 1]."""
        logits: Tensor = self.classifier((x - self.mean) / self.std)
        return logits


def build_network(
    architecture: str,
    classes: int,
    images: Tensor,
    *,
    normalise: bool,
    seed: int,
    device: torch.device,
    constants: Constants | None = None,
) -> Network:
    """Return a network with weights drawn from `seed`, normalised for its training images.

    Parameters
    ----------
    architecture
        A name in `ARCHITECTURES`.
    images
        uint8 [N, 3, H, W]: the network is built for their size; with `normalise`, their channel means and standard
        deviations go into it.
    seed
        Of the initial weights; they are drawn on the CPU, so that every device starts alike.
    constants
        What goes into it instead of the statistics of the images.

    """
    if constants is not None:
        mean, std = torch.tensor(constants.mean), torch.tensor(constants.std)
    else:
        mean, std = channel_statistics(images) if normalise else (torch.zeros(3), torch.ones(3))
    build = ARCHITECTURES.get(architecture)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if isinstance(build, SizedArchitecture):
            classifier = build(classes, (images.shape[-2], images.shape[-1]))
        else:
            classifier = build(classes)
    if not isinstance(classifier, Classifier):
        raise SepbenchError(
            f"the architecture '{architecture}' returns a {type(classifier).__name__}, not a bench.api.Classifier: "
            f"repair or remove it"
        )
    network = Network(classifier, mean, std).to(device)
    return network.to(memory_format=torch.channels_last)


def channel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each channel, on the [0, 1] scale, of uint8 [N, 3, H, W]."""
    total, squares = torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    for batch in images.split(4096):
        pixels = batch.to(torch.float64) / 255
        total += pixels.sum((0, 2, 3)).cpu()
        squares += pixels.square().sum((0, 2, 3)).cpu()
    count = images.numel() / 3
    mean = total / count
    deviation = (squares / count - mean.square()).clamp_min(0).sqrt()
    # A channel without any contrast would divide by zero.
    return mean.float(), deviation.clamp_min(1e-3).float()
