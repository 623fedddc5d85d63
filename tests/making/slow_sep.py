"""SEP as the paper's algorithm box has it: one image, one checkpoint and one step at a time."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


def gradient_of(networks: Sequence[nn.Module], image: Tensor, target: int) -> Tensor:
    """Return the mean over networks of the gradient of -log p(target) at one image, [3, H, W]."""
    total = torch.zeros_like(image)
    for network in networks:
        x = image.detach().clone().requires_grad_()
        logits = network(x[None])[0]
        loss = torch.log(torch.exp(logits).sum()) - logits[target]
        loss.backward()
        assert x.grad is not None
        total += x.grad
    return total / len(networks)


def protect_slowly(
    networks: Sequence[nn.Module], image: Tensor, target: int, norm: str, radius: float, step: float, steps: int
) -> tuple[Tensor, Tensor]:
    """Return the protected image, [3, H, W], and how far each pixel's gradient stayed from zero.

    The latter is the smallest absolute gradient over the steps, relative to the largest of its image.
    """
    x = image
    clearness = torch.full_like(image, math.inf)
    for _ in range(steps):
        gradient = gradient_of(networks, x, target)
        clearness = torch.minimum(clearness, gradient.abs() / gradient.abs().max())
        if norm == "linf":
            x = x - step * torch.sign(gradient)
            x = torch.minimum(torch.maximum(x, image - radius), image + radius)
        else:
            x = x - step * gradient / math.sqrt(float((gradient**2).sum()))
            length = math.sqrt(float(((x - image) ** 2).sum()))
            if length > radius:
                x = image + (x - image) * radius / length
        x = torch.minimum(torch.maximum(x, torch.zeros_like(x)), torch.ones_like(x))
    return x, clearness
