"""Thin networks with statistics of their own."""

from functools import cache

import torch
from torch import Tensor, nn

from bench.contracts.network import Network, build_network
from tests.making.images import noise

CPU = torch.device("cpu")


@cache
def checkpoints(count: int, classes: int = 10) -> tuple[Network, ...]:
    """Return thin networks in double precision and eval mode, whose batch norms have seen some images."""
    return tuple(_seen(seed, classes) for seed in range(count))


def gradients_of(model: nn.Module) -> list[Tensor]:
    """Return the gradient of every weight; each has one."""
    found = [weight.grad for weight in model.parameters()]
    assert all(one is not None for one in found)
    return [one for one in found if one is not None]


def _seen(seed: int, classes: int) -> Network:
    network = build_network("resnet8", classes, noise(64), normalise=True, seed=seed, device=CPU).double().train()
    with torch.no_grad():
        for batch in range(3):
            network(noise(64, seed=seed + batch).double() / 255)
    return network.eval()
