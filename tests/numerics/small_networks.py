"""Thin networks with statistics of their own, and images to give them."""

from functools import cache

import torch
from torch import Tensor

from bench.contracts.network import Network, build_network

CPU = torch.device("cpu")


def noise(count: int, side: int = 12, seed: int = 0) -> Tensor:
    """Return uint8 images, [count, 3, side, side], of random pixels, some black and some white."""
    levels = torch.randint(-64, 320, (count, 3, side, side), generator=torch.Generator().manual_seed(seed))
    return levels.clamp(0, 255).to(torch.uint8)


@cache
def checkpoints(count: int, classes: int = 10) -> tuple[Network, ...]:
    """Return thin networks in double precision and eval mode, whose batch norms have seen some images."""
    return tuple(_seen(seed, classes) for seed in range(count))


def _seen(seed: int, classes: int) -> Network:
    network = build_network("resnet8", classes, noise(64), normalise=True, seed=seed, device=CPU).double().train()
    with torch.no_grad():
        for batch in range(3):
            network(noise(64, seed=seed + batch).double() / 255)
    return network.eval()
