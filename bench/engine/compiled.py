"""torch.compile for frozen networks: once for all checkpoints of an architecture, and never at the price of a run."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call

from bench.core.device import warn_of_failed_compile
from bench.engine.frozen import Frozen

Backend = str | Callable[..., Any]
T = TypeVar("T")


def backend_for(device: torch.device) -> Backend | None:
    """Return what compiles on a device, None where compiling does not pay: on a CPU it takes longer than it saves."""
    return "inductor" if device.type == "cuda" else None


class Compiled:
    """Frozen networks whose feature extractors are compiled, until something fails: from then on they run eagerly.

    Parameters
    ----------
    networks
        Those of one structure share what is compiled: their weights are its inputs.
    backend
        Of torch.compile; None leaves the networks eager.

    Attributes
    ----------
    active
        Whether the networks are compiled; calls should then have one shape, as each new one is compiled anew.

    """

    def __init__(self, networks: Sequence[Frozen], backend: Backend | None) -> None:
        self._networks = networks
        self.active = backend is not None
        if backend is None:
            return
        try:
            _compile(networks, backend)
        except Exception as error:  # compilers raise whatever they like
            self._give_up(error)

    def run(self, call: Callable[[], T]) -> T:
        """Return what `call` makes of the networks; where it fails while they are compiled, it is called again."""
        if self.active:
            try:
                return call()
            except torch.OutOfMemoryError:
                raise  # smaller batches help, eager networks do not
            except Exception as error:
                self._give_up(error)
        return call()

    def _give_up(self, error: Exception) -> None:
        self.active = False
        for network in self._networks:
            network.extractor = None
        warn_of_failed_compile(error)


class _Shared(nn.Module):
    """A compiled extractor that runs with the weights of any network of its structure."""

    def __init__(self, body: nn.Module, backend: Backend) -> None:
        super().__init__()
        self.body = body
        # Its forward and not the module: what is around it in fx turns errors into others while it is compiled.
        # Whole or not at all: a network that falls into pieces gains little.
        self._run = torch.compile(body.forward, dynamic=False, fullgraph=True, backend=backend)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self._run(x)
        return features


def _compile(networks: Sequence[Frozen], backend: Backend) -> None:
    compiled: dict[str, _Shared] = {}
    for network in networks:
        structure = _structure(network.body)
        if structure not in compiled:
            compiled[structure] = _Shared(network.body, backend)
        weights = {f"body.{name}": tensor for name, tensor in _weights(network.body)}
        network.extractor = partial(functional_call, compiled[structure], weights, strict=True)


def _weights(body: nn.Module) -> list[tuple[str, Tensor]]:
    return [*body.named_parameters(), *body.named_buffers()]


def _structure(body: nn.Module) -> str:
    """Return a text that two extractors share where they differ in nothing but their weights."""
    layers = [
        (
            name,
            type(layer).__qualname__,
            sorted((key, repr(value)) for key, value in vars(layer).items() if _plain(key, value)),
        )
        for name, layer in body.named_modules()
    ]
    weights = [(name, tuple(tensor.shape)) for name, tensor in _weights(body)]
    return repr((layers, weights, body.code if isinstance(body, fx.GraphModule) else ""))


def _plain(key: str, value: Any) -> bool:
    return not key.startswith("_") and isinstance(value, bool | int | float | str | tuple | None)
