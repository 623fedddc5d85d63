"""Compiled networks give the gradients of eager ones, are compiled once, and give way where compiling fails."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn
from torch._dynamo.backends.registry import lookup_backend

from bench.contracts.network import Classifier, Network
from bench.engine.compiled import backend_for
from bench.engine.ensemble import Ensemble
from tests.making.images import noise
from tests.making.networks import CPU, checkpoints

pytestmark = pytest.mark.slow

CLEAN = noise(10).double() / 255
TARGETS = torch.arange(10)


def batch_size(inputs: list[Tensor]) -> int:
    """Return how many images are among what a graph is compiled for."""
    return next(len(tensor) for tensor in inputs if tensor.shape[1:] == CLEAN.shape[1:])


class Counting:
    """A real backend without a code generator, which counts what it compiles and notes the size of the batch."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, graph: fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        self.batches.append(batch_size(inputs))
        compiled: Callable[..., Any] = lookup_backend("aot_eager")(graph, inputs)
        return compiled


class Scaled(Classifier):
    """Differs in a number that is neither a weight nor a layer."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 10)

    def features(self, x: Tensor) -> Tensor:
        features: Tensor = (self.conv(x) * self.scale).relu().mean((2, 3))
        return features


class Branching(Scaled):
    """Branches on data: cannot be captured whole."""

    def features(self, x: Tensor) -> Tensor:
        y = x if float(x.detach().mean()) > -100 else -x
        return super().features(y)


def network_of(classifier: Classifier) -> Network:
    return Network(classifier, torch.full((3,), 0.5), torch.full((3,), 0.25)).double().eval()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "sepbench" and record.levelno >= 30]


def test_gpus_compile_and_cpus_do_not() -> None:
    assert backend_for(torch.device("cuda", 1)) == "inductor"
    assert backend_for(CPU) is None
    assert not Ensemble(checkpoints(1)).compiled.active


def test_the_checkpoints_of_an_architecture_are_compiled_once_and_give_the_same_gradients() -> None:
    backend = Counting()
    fast, eager = Ensemble(checkpoints(3), backend=backend), Ensemble(checkpoints(3))
    for index in (0, 1, 2, 0):
        gradient = fast.gradient(index, CLEAN, TARGETS)
        torch.testing.assert_close(gradient, eager.gradient(index, CLEAN, TARGETS), rtol=1e-9, atol=1e-14)
    torch.testing.assert_close(
        fast.mean_gradient(CLEAN, TARGETS), eager.mean_gradient(CLEAN, TARGETS), rtol=1e-9, atol=1e-14
    )
    assert len(backend.batches) == 1


def test_a_smaller_last_batch_is_not_compiled_anew() -> None:
    backend = Counting()
    fast, eager = Ensemble(checkpoints(2), backend=backend), Ensemble(checkpoints(2))
    fast.micro_batches.size = 4
    for count in (10, 3):
        gradient = fast.mean_gradient(CLEAN[:count], TARGETS[:count])
        assert gradient.shape == CLEAN[:count].shape
        torch.testing.assert_close(gradient, eager.mean_gradient(CLEAN[:count], TARGETS[:count]), rtol=1e-9, atol=1e-14)
    assert backend.batches == [4]
    assert fast.passes == 2 * 13, "images that only fill up a batch are not counted"


def test_networks_that_differ_in_more_than_their_weights_do_not_share() -> None:
    backend = Counting()
    networks = [network_of(Scaled(scale)) for scale in (1.0, 3.0, 1.0)]
    networks.append(checkpoints(1)[0])
    fast, eager = Ensemble(networks, backend=backend), Ensemble(networks)
    for index in range(4):
        gradient = fast.gradient(index, CLEAN, TARGETS)
        torch.testing.assert_close(gradient, eager.gradient(index, CLEAN, TARGETS), rtol=1e-9, atol=1e-14)
    assert len(backend.batches) == 3


def opaque(function: Callable[..., Any]) -> Callable[..., Any]:
    """Hide a function from what traces Python, as the output of a real compiler is."""
    hidden: Callable[..., Any] = torch.compiler.disable(function)
    return hidden


def breaks_while_compiling(graph: fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
    raise ValueError("no compiler here\nand more lines of no use")


def breaks_when_called(graph: fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
    @opaque
    def compiled(*arguments: Tensor) -> Any:
        raise ValueError("no compiler here")

    return compiled


class _BreaksBackwards(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        raise ValueError("no compiler here")


def breaks_backwards(graph: fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
    @opaque
    def compiled(*arguments: Tensor) -> Any:
        return tuple(_BreaksBackwards.apply(output) for output in graph(*arguments))

    return compiled


@pytest.mark.parametrize("backend", [breaks_while_compiling, breaks_when_called, breaks_backwards])
def test_where_compiling_fails_networks_run_eagerly_and_one_line_says_so(
    backend: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    broken, eager = Ensemble(checkpoints(2), backend=backend), Ensemble(checkpoints(2))
    broken.micro_batches.size = 10
    for _ in range(2):
        assert torch.equal(broken.mean_gradient(CLEAN, TARGETS), eager.mean_gradient(CLEAN, TARGETS))
    assert broken.passes == eager.passes
    assert not broken.compiled.active
    assert warnings(caplog) == [
        "torch.compile failed (ValueError: no compiler here): networks run uncompiled, which is slower"
    ]


def test_a_backend_that_does_not_exist_is_a_failure_too(caplog: pytest.LogCaptureFixture) -> None:
    broken = Ensemble(checkpoints(1), backend="no-such-backend")
    assert not broken.compiled.active
    assert torch.equal(broken.mean_gradient(CLEAN, TARGETS), Ensemble(checkpoints(1)).mean_gradient(CLEAN, TARGETS))
    assert len(warnings(caplog)) == 1


def test_a_network_that_cannot_be_captured_whole_runs_eagerly(caplog: pytest.LogCaptureFixture) -> None:
    networks = [network_of(Branching(1.0)), network_of(Branching(2.0))]
    fast = Ensemble(networks, backend=Counting())
    fast.micro_batches.size = 10
    assert torch.equal(fast.mean_gradient(CLEAN, TARGETS), Ensemble(networks).mean_gradient(CLEAN, TARGETS))
    assert not fast.compiled.active
    assert len(warnings(caplog)) == 1


def test_a_mistake_in_the_loss_is_not_hidden() -> None:
    def mistaken(*_: Any) -> Tensor:
        raise KeyError("a mistake")

    with pytest.raises(KeyError, match="a mistake"):
        Ensemble(checkpoints(1), mistaken, backend=Counting()).mean_gradient(CLEAN, TARGETS)


def test_running_out_of_memory_makes_batches_smaller_and_stays_compiled(caplog: pytest.LogCaptureFixture) -> None:
    def small_memory(graph: fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        if batch_size(inputs) <= 3:
            compiled: Callable[..., Any] = lookup_backend("aot_eager")(graph, inputs)
            return compiled

        @opaque
        def too_large(*arguments: Tensor) -> Any:
            raise torch.OutOfMemoryError("no memory")

        return too_large

    fast, eager = Ensemble(checkpoints(1), backend=small_memory), Ensemble(checkpoints(1))
    fast.micro_batches.size = 10
    gradient = fast.mean_gradient(CLEAN, TARGETS)
    torch.testing.assert_close(gradient, eager.mean_gradient(CLEAN, TARGETS), rtol=1e-9, atol=1e-14)
    assert fast.compiled.active
    assert fast.micro_batches.size == 3
    assert fast.passes == 10
    assert len(warnings(caplog)) == 1


def test_only_gradients_are_compiled() -> None:
    backend = Counting()
    ensemble = Ensemble(checkpoints(1), backend=backend)
    with torch.no_grad():
        logits = ensemble.networks[0](CLEAN[:3])
    assert backend.batches == []
    torch.testing.assert_close(logits, checkpoints(1)[0](CLEAN[:3]), rtol=1e-9, atol=1e-12)


def test_compiling_leaves_the_networks_it_was_given_as_they_were() -> None:
    network = deepcopy(checkpoints(1)[0])
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    Ensemble([network], backend=Counting()).mean_gradient(CLEAN, TARGETS)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_one_process_can_compile_for_any_number_of_ensembles() -> None:
    # What is compiled is kept with the code, and no more than eight versions of one code are.
    for _ in range(12):
        fast = Ensemble([network_of(Scaled(1.0))], backend=Counting())
        fast.mean_gradient(CLEAN, TARGETS)
        assert fast.compiled.active
