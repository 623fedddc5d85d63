"""torch.compile for the training pass: of whole batches, and never at the price of a run."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn

from bench.core.device import warn_of_failed_compile

BACKEND: str | Callable[..., Any] = "inductor"
"""What torch.compile generates code with."""

CHANNELS_LAST = {"cuda"}
"""Devices where compiled networks get every batch in the layout that they are compiled for.

Batches that a defense has laid out otherwise would be compiled for anew. On a CPU they are, as the last bits of results
depend on the layout there.
"""


@contextmanager
def compiling(network: nn.Module, shape: tuple[int, ...], autocast: torch.autocast) -> Iterator[bool]:
    """Let a network run compiled inside the block, as `compile_forward` does; yields whether it does."""
    with forward_as_before(network):
        try:
            yield compile_forward(network, shape, autocast)
        finally:
            torch.compiler.reset()  # what is compiled is kept with the code of all networks, up to a limit


@contextmanager
def forward_as_before(network: nn.Module) -> Iterator[None]:
    """Let a network have another forward inside the block."""
    before = vars(network).get("forward")
    try:
        yield
    finally:
        vars(network).pop("forward", None)
        if before is not None:
            network.forward = before


def compile_forward(network: nn.Module, shape: tuple[int, ...], autocast: torch.autocast) -> bool:
    """Compile a network's forward and backward pass for training batches of one shape, and for attacks on them.

    Everything else that the network is asked for (other batches, evaluation, features, copies of it) runs eagerly.

    Parameters
    ----------
    network
        In any mode; its weights, statistics and gradients stay as they are.
    shape
        Of the batches, [B, 3, H, W].
    autocast
        In which it will train.

    Returns
    -------
    Whether it is compiled; where that fails, now or later, a warning says why, and the network runs eagerly.

    """
    # Without this it tells of a missing CUDA where nobody asked for one.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    mode, state = network.training, {name: value.clone() for name, value in network.state_dict().items()}
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    device = next(network.parameters()).device
    try:
        forward = _Forward(network, shape)
        with torch.random.fork_rng([device] if device.type == "cuda" else []), autocast:
            network.train()
            loss = forward.compiled(torch.zeros(shape, device=device).to(memory_format=torch.channels_last)).sum()
        torch.autograd.grad(loss, weights, allow_unused=True)  # leaves the gradients that there are alone
        if not forward.graphs:
            raise RuntimeError("it left the network as it is")
    except torch.OutOfMemoryError:
        raise  # eager networks take no less
    except Exception as error:  # compilers raise whatever they like
        warn_of_failed_compile(error)
        return False
    finally:
        network.load_state_dict(state)
        network.train(mode)
    network.forward = forward
    return True


class _Forward:
    """The forward of a network, compiled where whole training batches come along."""

    def __init__(self, network: nn.Module, shape: tuple[int, ...]) -> None:
        from torch._dynamo import lookup_backend  # takes a second to import

        self._network, self._shape, self._eager = network, shape, network.forward
        self._generate = lookup_backend(BACKEND)
        self._works = True
        self.graphs = 0
        self.compiled: Callable[[Tensor], Tensor] = torch.compile(network.forward, dynamic=False, backend=self._backend)

    def __call__(self, x: Tensor) -> Any:
        # Attacks on the images want their gradient, in eval mode as well.
        if self._works and (self._network.training or x.requires_grad) and x.shape == self._shape:
            try:
                last = x.device.type in CHANNELS_LAST
                return self.compiled(x.contiguous(memory_format=torch.channels_last) if last else x)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # of a further graph, such as that of an attack on the images
                self._works = False
                warn_of_failed_compile(error)
        return self._eager(x)

    def __deepcopy__(self, memo: dict[int, Any]) -> Callable[[Tensor], Any]:
        """Let a copy of the network run its own forward."""
        copy = deepcopy(self._network, memo)
        return partial(type(copy).forward, copy)

    def _backend(self, graph: fx.GraphModule, inputs: list[Tensor]) -> Any:
        self.graphs += 1
        return self._generate(graph, inputs)
