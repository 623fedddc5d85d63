"""Protected images as training gives them to a defense once, and what comes back."""

import numpy as np
import torch
from torch import Tensor

from bench.contracts.defense import Defense, Defenses
from tests.making.images import noise, seeded

CLASSES = 3


def photos(count: int, size: tuple[int, int] = (16, 16)) -> Tensor:
    """Return uint8 images, [count, 3, *size], that are smooth with some noise, so that no codec meets only noise."""
    grid = np.indices(size) / max(size)
    waves = [np.sin((channel + 2) * grid[0] + index + 3 * grid[1]) for index in range(count) for channel in range(3)]
    smooth = torch.from_numpy(np.stack(waves)).view(count, 3, *size) * 90 + 128
    rough = noise(count, side=max(size))[:, :, : size[0], : size[1]]
    return (0.8 * smooth + 0.2 * rough).round().to(torch.uint8)


def labels(count: int) -> Tensor:
    return torch.arange(count) % CLASSES


def defense(written: str) -> Defense:
    (made,) = Defenses.parse(written).chain
    made.classes = CLASSES
    return made


def changed(written: str, images: Tensor, seed: int = 0) -> Tensor:
    return defense(written).dataset(images, labels(len(images)), seeded(seed))
