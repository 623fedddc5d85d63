"""Batches of images as training gives them to a defense, and what comes back."""

import numpy as np
import pytest
import scipy.stats
import torch
from small_networks import noise
from torch import Tensor

from bench.contracts.defense import Defense, Defenses

CLASSES = 5
SIZES = [(16, 16), (32, 32), (64, 64), (9, 14)]

every_size = pytest.mark.parametrize("size", SIZES, ids=str)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


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


def looks_alike(values: np.ndarray, distribution: object) -> bool:
    """Say whether a Kolmogorov-Smirnov test finds nothing against the distribution; draws are fixed by their seed."""
    return bool(scipy.stats.kstest(values, distribution).pvalue > 0.01)
