"""CUDA graphs for the training pass: a launch each way in place of hundreds, and never at the price of a run."""

import pickle
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.core.device import warn_of_failed_capture
from bench.engine.compiling import forward_as_before
from bench.engine.step import autocast_for

CAPTURE: dict[str, Callable[..., Any]] = {"cuda": torch.cuda.make_graphed_callables}
"""What captures the forward and the backward pass of a network, in place, by the type of its device."""


@contextmanager
def capturing(network: nn.Module, shape: tuple[int, ...], number_format: str) -> Iterator[bool]:
    """Let a network be replayed inside the block, as `capture_forward` does; yields whether it is."""
    with forward_as_before(network):
        yield capture_forward(network, shape, number_format)


def capture_forward(network: nn.Module, shape: tuple[int, ...], number_format: str) -> bool:
    """Capture a network's forward and backward pass in training, for batches of one shape.

    The kernels are those that it runs otherwise, compiled or not. Every pass overwrites the activations and the
    gradients of the last one. So it is for a loss that asks the network once, in train mode, before the optimizer
    steps, as that of a recipe does, and for none that asks it twice or changes it in between.

    Parameters
    ----------
    network
        On a device in `CAPTURE`, in any mode; its weights, statistics and gradients stay as they are.
    shape
        Of the batches, [B, 3, H, W]; others, and evaluation, run as before.
    number_format
        As `precision` returns it.

    Returns
    -------
    Whether it is captured; where that fails, a warning says why, and the network runs as before.

    """
    mode, state = network.training, {name: value.clone() for name, value in network.state_dict().items()}
    device = next(network.parameters()).device
    on_gpu = device.type == "cuda"
    before, drawn, streams = network.forward, _host_draws(), (random.getstate(), np.random.get_state())
    try:
        with (
            forward_as_before(network),
            torch.cuda.device(device) if on_gpu else nullcontext(),
            torch.random.fork_rng([device] if on_gpu else []),
            autocast_for(device, number_format, cached=False),  # a cached cast would be of these weights for ever
        ):
            network.train()
            batch = torch.zeros(shape, device=device).to(memory_format=torch.channels_last)
            CAPTURE[device.type](network, (batch,), allow_unused_input=True)
            if _host_draws() != drawn:
                raise RuntimeError("the network draws on the host, which would give every step the same draw")
            captured = network.forward
    except Exception as error:  # each thing that cannot be captured has its own, want of memory among them
        warn_of_failed_capture(error)
        return False
    finally:
        random.setstate(streams[0])
        np.random.set_state(streams[1])
        network.load_state_dict(state)
        network.train(mode)
    network.forward = _Replayed(network, shape, before, captured)
    return True


class _Replayed:
    """The forward of a network, replayed where whole training batches come along."""

    def __init__(
        self,
        network: nn.Module,
        shape: tuple[int, ...],
        before: Callable[[Tensor], Any],
        captured: Callable[[Tensor], Any],
    ) -> None:
        self._network, self._shape, self._before, self._captured = network, shape, before, captured

    def __call__(self, x: Tensor) -> Any:
        learns = self._network.training and torch.is_grad_enabled() and not x.requires_grad
        return self._captured(x) if learns and x.shape == self._shape else self._before(x)

    def __deepcopy__(self, memo: dict[int, Any]) -> Callable[[Tensor], Any]:
        """Let a copy of the network run its own forward."""
        copy = deepcopy(self._network, memo)
        return partial(type(copy).forward, copy)


def _host_draws() -> bytes:
    """Return where the random streams of the host are; no graph asks them again."""
    return pickle.dumps((random.getstate(), np.random.get_state(), torch.get_rng_state().tolist()))
