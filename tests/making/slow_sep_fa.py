"""Feature alignment and its variance reduction as the paper's algorithm boxes have them: one image at a time."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from bench.contracts.network import Network


def means_of(network: Network, images: Tensor, labels: Tensor, classes: int) -> list[Tensor]:
    """Return the mean features of each class, image by image."""
    means = []
    for label in range(classes):
        total, count = torch.zeros(network.classifier.head.in_features, dtype=images.dtype), 0
        for image, y in zip(images, labels.tolist(), strict=True):
            if y == label:
                with torch.no_grad():
                    total += network.features(image[None])[0]
                count += 1
        means.append(total / max(count, 1))
    return means


def feature_gradient(network: Network, image: Tensor, mean: Tensor) -> Tensor:
    """Return the gradient of the mean squared distance between features and `mean` at one image, [3, H, W]."""
    x = image.detach().clone().requires_grad_()
    loss = ((network.features(x[None])[0] - mean) ** 2).mean()
    loss.backward()
    assert x.grad is not None
    return x.grad


def moved(image: Tensor, x: Tensor, gradient: Tensor, norm: str, radius: float, step: float) -> Tensor:
    """Return `x` one step against the gradient, brought back into the ball of `image` and into [0, 1]."""
    if norm == "linf":
        x = x - step * torch.sign(gradient)
        x = torch.minimum(torch.maximum(x, image - radius), image + radius)
    else:
        x = x - step * gradient / math.sqrt(float((gradient**2).sum()))
        length = math.sqrt(float(((x - image) ** 2).sum()))
        if length > radius:
            x = image + (x - image) * radius / length
    return torch.minimum(torch.maximum(x, torch.zeros_like(x)), torch.ones_like(x))


def align_slowly(
    networks: Sequence[Network],
    image: Tensor,
    means: Sequence[Tensor],
    norm: str,
    radius: float,
    step: float,
    draws: Sequence[Sequence[int]],
) -> Tensor:
    """Return SEP-FA's image, given which checkpoints each step averages over."""
    x = image
    for drawn in draws:
        gradients = [feature_gradient(networks[r], x, means[r]) for r in drawn]
        x = moved(image, x, sum(gradients, torch.zeros_like(x)) / len(drawn), norm, radius, step)
    return x


def reduce_variance_slowly(
    networks: Sequence[Network],
    image: Tensor,
    means: Sequence[Tensor],
    inner_means: Sequence[Tensor],
    norm: str,
    radius: float,
    step: float,
    draws: Sequence[Sequence[int]],
) -> Tensor:
    """Return SEP-FA-VR's image, given which checkpoint each inner step of each step draws."""
    x = image
    for drawn in draws:
        gradients = [feature_gradient(network, x, mean) for network, mean in zip(networks, means, strict=True)]
        mean_gradient = sum(gradients, torch.zeros_like(x)) / len(networks)
        v, total = x, torch.zeros_like(x)
        for r in drawn:
            total = total + feature_gradient(networks[r], v, inner_means[r]) - (gradients[r] - mean_gradient)
            v = moved(image, v, total, norm, radius, step)
        x = moved(image, x, total, norm, radius, step)
    return x
