"""Images of random pixels, in sizes and from seeds that tests share."""

import pytest
import torch
from torch import Tensor

every_size = pytest.mark.parametrize("size", [(16, 16), (32, 32), (64, 64), (9, 14)], ids=str)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int, side: int = 12, seed: int = 0) -> Tensor:
    """Return uint8 images, [count, 3, side, side], of random pixels, some black and some white."""
    levels = torch.randint(-64, 320, (count, 3, side, side), generator=seeded(seed))
    return levels.clamp(0, 255).to(torch.uint8)
