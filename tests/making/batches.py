"""Batches of images as training gives them to a defense, and what comes back."""

from collections.abc import Callable

import numpy as np
import scipy.stats
import torch
from torch import Tensor

from bench.contracts.defense import Defense, Defenses
from tests.making.images import noise, seeded

CLASSES = 5


def chain(written: str) -> Defense:
    made = Defenses.parse(written)
    for part in made.chain:
        part.classes = CLASSES
    return made


def photos(count: int, size: tuple[int, int] = (16, 16)) -> Tensor:
    """Return float images, [count, 3, *size] in [0, 1], in the memory layout that training gives them."""
    images = noise(count, side=max(size))[:, :, : size[0], : size[1]].float() / 255
    return images.contiguous(memory_format=torch.channels_last)


def labels(count: int) -> Tensor:
    return torch.arange(count) % CLASSES


def changed(written: str, x: Tensor, seed: int = 0) -> Tensor:
    return chain(written).batch(x, labels(len(x)), seeded(seed))[0]


def constant(level: float, count: int, size: tuple[int, int] = (16, 16)) -> Tensor:
    return torch.full((count, 3, *size), level).contiguous(memory_format=torch.channels_last)


def looks_alike(values: np.ndarray, distribution: str | Callable[[float], float]) -> bool:
    """Say whether a Kolmogorov-Smirnov test finds nothing against the distribution; draws are fixed by their seed."""
    return bool(scipy.stats.kstest(values, distribution).pvalue > 0.01)
