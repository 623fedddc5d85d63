"""Passes through a network in training that leave no trace in it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def side_passes(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Let passes inside the block leave running statistics and the global random stream as they were.

    The network stays in its mode: in training mode its batch norms normalise by the batch, as in the training pass.
    """
    tracking = [module for module in network.modules() if getattr(module, "track_running_stats", False)]
    _track(tracking, False)
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []), uncached(device):
            yield
    finally:
        _track(tracking, True)


@contextmanager
def eval_passes(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Let the network be in eval mode inside the block: by its running statistics, without dropout.

    Afterwards every module is in the mode that it was in, also where a few were in another one than the rest.
    """
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []), uncached(device):
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def uncached(device: torch.device) -> torch.autocast:
    """Return autocast as it is set, without its cache.

    In older versions of torch the cache hands weights that were cast without gradients on to the training pass, which
    then learns nothing.
    """
    return torch.autocast(
        device.type,
        dtype=torch.get_autocast_dtype(device.type),
        enabled=torch.is_autocast_enabled(device.type),
        cache_enabled=False,
    )


def _track(norms: list[nn.Module], tracking: bool) -> None:
    for norm in norms:
        norm.track_running_stats = tracking  # type: ignore[assignment]
