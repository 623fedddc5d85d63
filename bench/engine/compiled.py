"""torch.compile for frozen networks: once for all checkpoints of an architecture, and never at the price of a run."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, fx, nn

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
        self._networks: list[Frozen] = []
        self._backend = backend
        self._of_structure: dict[str, _Shared] = {}
        self.active = backend is not None
        for network in networks:
            self.add(network)

    def add(self, network: Frozen) -> None:
        """Let a further network run compiled, where the others do."""
        self._networks.append(network)
        if not self.active or self._backend is None:
            return
        try:
            structure = _structure(network.body)
            if structure not in self._of_structure:
                self._of_structure[structure] = _Shared(network.body, self._backend)
            weights = [owner[name] for owner, name in _places(network.body)]
            network.extractor = partial(self._of_structure[structure], weights)
        except Exception as error:  # compilers raise whatever they like
            self._give_up(error)

    def run(self, call: Callable[[], T]) -> T:
        """Return what `call` makes of the networks; where it fails while they are compiled, it is called again."""
        if self.active:
            try:
                return call()
            except Exception as error:
                lacked = _lack_of_memory(error)
                if lacked is not None:
                    raise lacked from None  # smaller batches help, eager networks do not
                self._give_up(error)
        return call()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let the networks run eagerly in the block, on whatever shape: nothing is compiled for it."""
        extractors = [network.extractor for network in self._networks]
        for network in self._networks:
            network.extractor = None
        try:
            yield
        finally:
            for network, extractor in zip(self._networks, extractors, strict=True):
                network.extractor = extractor

    def _give_up(self, error: Exception) -> None:
        self.active = False
        for network in self._networks:
            network.extractor = None
        warn_of_failed_compile(error)


class _Shared:
    """A compiled extractor that runs with the weights of any network of its structure."""

    def __init__(self, body: nn.Module, backend: Backend) -> None:
        own = deepcopy(body)  # whose weights change from call to call; the network's own stay
        self._places = _places(own)
        # Its forward and not the module: what is around it in fx turns errors into others while it is compiled.
        # Whole or not at all: a network that falls into pieces gains little.
        self._run = torch.compile(_with_code_of_its_own(own).forward, dynamic=False, fullgraph=True, backend=backend)

    def __call__(self, weights: Sequence[Tensor | None], x: Tensor) -> Tensor:
        # Not by functional_call: it takes a GPU's time for a small network to put weights in and take them out again.
        for (owner, name), weight in zip(self._places, weights, strict=True):
            owner[name] = weight
        features: Tensor = self._run(x)
        return features


def _with_code_of_its_own(body: nn.Module) -> nn.Module:
    """Return a module that calls another: of one code no more than eight versions are compiled and kept."""
    graph = fx.Graph()
    graph.output(graph.call_module("body", (graph.placeholder("x"),)))
    return fx.GraphModule({"body": body}, graph)


def _places(body: nn.Module) -> list[tuple[dict[str, Any], str]]:
    """Return where the parameters and the buffers of a network are kept, in the same order for all of its structure."""
    return [
        (owner, name) for layer in body.modules() for owner in (layer._parameters, layer._buffers) for name in owner
    ]


def _lack_of_memory(error: BaseException | None) -> torch.OutOfMemoryError | None:
    """Return the lack of memory that an error is or was wrapped around, as compilers do."""
    while error is not None and not isinstance(error, torch.OutOfMemoryError):
        error = getattr(error, "inner_exception", None) or error.__cause__
    return error


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
