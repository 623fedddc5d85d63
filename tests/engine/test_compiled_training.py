"""Training with torch.compile: the same training, of whole batches alone, that leaves no trace and gives way."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch._dynamo.backends.registry import lookup_backend

from bench.contracts.defense import DEFENSES
from bench.contracts.network import Classifier, Network
from bench.core.errors import Stopped
from bench.engine import compiling as under_test
from bench.engine.compiling import compile_forward, compiling
from bench.engine.step import autocast_for
from bench.engine.training import History
from tests.making.networks import CPU
from tests.making.trainings import IMAGES, fresh, recipe, same_bits, trained

pytestmark = pytest.mark.slow

SHAPE = (16, 3, 8, 8)  # of the whole batches of `small_training`
FULL_PRECISION = autocast_for(CPU, "fp32")
Backend = Callable[[fx.GraphModule, list[Tensor]], Callable[..., Any]]


class Counting:
    """A real backend without a code generator, which notes the shape of the images that it compiles for."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, graph: fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        self.shapes.append(next(tuple(one.shape) for one in inputs if one.shape[1:] == IMAGES.shape[1:]))
        compiled: Callable[..., Any] = lookup_backend("aot_eager")(graph, inputs)
        return compiled


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counting]:
    counting = Counting()
    monkeypatch.setattr(under_test, "BACKEND", counting)
    yield counting
    torch.compiler.reset()


class Dropping(Network):
    """Draws random numbers whenever it trains."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.dropout(x, training=self.training))


class Means(Classifier):
    """Compiles in a moment."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 3)

    def features(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


def breaks_while_compiling(graph: fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
    raise ValueError("no compiler here\nand more lines of no use")


def breaks_backwards(graph: fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, logits: Tensor) -> Tensor:
            return logits.clone()

        @staticmethod
        def backward(ctx: Any, *gradients: Tensor) -> Tensor:
            raise ValueError("no compiler here")

    eager: Callable[..., Any] = lookup_backend("eager")(graph, inputs)
    hidden: Callable[..., Any] = torch.compiler.disable(lambda *tensors: (Broken.apply(eager(*tensors)[0]),))
    return hidden


def close(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.allclose(a, b, rtol=1e-3, atol=1e-4) for a, b in pairs)


def test_it_is_the_same_training(backend: Counting, tmp_path: Path) -> None:
    eager, eager_history = trained(tmp_path / "eager")
    network, history = trained(tmp_path / "compiled", compile=True)
    assert close(network, eager)
    assert history.train_loss == pytest.approx(eager_history.train_loss, rel=1e-3)
    assert (history.compiled, eager_history.compiled) == (True, False)
    assert len(backend.shapes) == 1


def test_whole_batches_are_compiled_and_nothing_else(backend: Counting, tmp_path: Path) -> None:
    # 50 images make three batches of 16 and one of 2, and 30 test images are judged after each epoch.
    network, _ = trained(tmp_path, compile=True)
    assert backend.shapes == [SHAPE]
    network.train()(torch.rand(SHAPE))
    assert backend.shapes == [SHAPE], "a trained network is no longer compiled"
    assert "forward" not in vars(network)


def test_a_release_smaller_than_a_batch_is_one_whole_batch(backend: Counting, tmp_path: Path) -> None:
    trained(tmp_path, recipe(batch_size=64), compile=True)
    assert backend.shapes == [(50, 3, 8, 8)]


def test_an_attack_on_the_images_is_compiled_too(backend: Counting, tmp_path: Path) -> None:
    kind = DEFENSES.get("adversarial-training")
    defense = kind(kind.Params.model_validate({"steps": 2}))
    eager, _ = trained(tmp_path / "eager", defense=defense)
    network, history = trained(tmp_path / "compiled", defense=defense, compile=True)
    assert history.compiled
    assert backend.shapes == [SHAPE, SHAPE], "one graph of the training pass, one of the attack in eval mode"
    assert close(network, eager)


@pytest.mark.parametrize("name", ["cutout", "gaussian-noise"])
def test_a_defense_that_leaves_batches_in_another_layout_is_compiled_once(
    name: str, backend: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "CHANNELS_LAST", {"cpu"})
    _, history = trained(tmp_path, defense=DEFENSES.get(name)(), compile=True)
    assert history.compiled
    assert backend.shapes == [SHAPE]


def test_passes_that_leave_no_trace_are_a_graph_of_their_own_and_no_more(
    backend: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "CHANNELS_LAST", {"cpu"})
    kind = DEFENSES.get("ueraser")  # five candidates a step without gradients and statistics, then the training pass
    _, history = trained(tmp_path, defense=kind(), compile=True)
    assert history.compiled
    assert backend.shapes == [SHAPE, SHAPE]


def test_what_takes_images_one_by_one_runs_without(backend: Counting, tmp_path: Path) -> None:
    kind = DEFENSES.get("dp-sgd")
    eager, _ = trained(tmp_path / "eager", defense=kind())
    network, history = trained(tmp_path / "compiled", defense=kind(), compile=True)
    assert not history.compiled
    assert backend.shapes == []
    assert same_bits(network, eager)


def test_a_resumed_run_ends_as_an_undisturbed_one(backend: Counting, tmp_path: Path) -> None:
    def stop(history: History) -> None:
        raise Stopped("enough")

    whole, _ = trained(tmp_path / "whole", compile=True)
    with pytest.raises(Stopped):
        trained(tmp_path / "parts", compile=True, on_epoch=stop)
    parts, history = trained(tmp_path / "parts", compile=True)
    assert len(history) == 3
    assert same_bits(parts, whole)


def test_a_run_of_which_a_part_was_compiled_says_so(backend: Counting, tmp_path: Path) -> None:
    def stop(history: History) -> None:
        raise Stopped("enough")

    with pytest.raises(Stopped):
        trained(tmp_path, compile=True, on_epoch=stop)
    _, history = trained(tmp_path)
    assert history.compiled


@pytest.mark.parametrize("broken", [breaks_while_compiling, breaks_backwards])
def test_where_compiling_fails_it_is_the_eager_training_and_one_line_says_so(
    broken: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    eager, _ = trained(tmp_path / "eager")
    monkeypatch.setattr(under_test, "BACKEND", broken)
    network, history = trained(tmp_path / "compiled", compile=True)
    assert same_bits(network, eager)
    assert not history.compiled
    assert [record.getMessage() for record in caplog.records if record.name == "sepbench"] == [
        "torch.compile failed (ValueError: no compiler here): networks run uncompiled, which is slower"
    ]


def test_where_a_further_graph_fails_it_goes_on_eagerly_and_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    counting = Counting()

    def breaks_later(graph: fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        return counting(graph, inputs) if not counting.shapes else breaks_while_compiling(graph, inputs)

    kind = DEFENSES.get("adversarial-training")  # its attack asks for the gradient of the images
    defense = kind(kind.Params.model_validate({"steps": 2}))
    eager, _ = trained(tmp_path / "eager", defense=defense)
    monkeypatch.setattr(under_test, "BACKEND", breaks_later)
    network, _ = trained(tmp_path / "compiled", defense=defense, compile=True)
    assert close(network, eager)
    assert [record.getMessage() for record in caplog.records if record.name == "sepbench"] == [
        "torch.compile failed (ValueError: no compiler here): networks run uncompiled, which is slower"
    ]


def test_what_torch_leaves_as_it_is_does_not_pass_for_compiled(
    backend: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    network = fresh()
    with torch.compiler.set_stance("force_eager"):  # as TORCHDYNAMO_DISABLE=1 does
        assert not compile_forward(network, SHAPE, FULL_PRECISION)
    assert "forward" not in vars(network)
    assert "it left the network as it is" in caplog.text


def test_an_unknown_backend_is_a_warning(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(under_test, "BACKEND", "nonsense")
    assert not compile_forward(fresh(), SHAPE, FULL_PRECISION)
    assert "torch.compile failed (InvalidBackend" in caplog.text


def test_a_run_with_nothing_left_compiles_nothing(backend: Counting, tmp_path: Path) -> None:
    def stop(history: History) -> None:
        if len(history) == 3:
            raise Stopped("at the very end")

    with pytest.raises(Stopped):
        trained(tmp_path, on_epoch=stop)
    _, history = trained(tmp_path, compile=True)
    assert not history.compiled
    assert backend.shapes == []


def test_no_memory_is_no_fault_of_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(graph: fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        def call(*tensors: Tensor) -> Any:
            raise torch.OutOfMemoryError("all taken")

        hidden: Callable[..., Any] = torch.compiler.disable(call)
        return hidden

    monkeypatch.setattr(under_test, "BACKEND", exhausted)
    with pytest.raises(torch.OutOfMemoryError), compiling(fresh(), SHAPE, FULL_PRECISION):
        pass


def test_compiling_leaves_weights_statistics_gradients_mode_and_random_stream_as_they_were(backend: Counting) -> None:
    network = Dropping(fresh().classifier, torch.zeros(3), torch.ones(3)).eval()
    before = deepcopy(network.state_dict())
    kept = [torch.full_like(weight, 7) for weight in network.parameters()]
    for weight, gradient in zip(network.parameters(), kept, strict=True):
        weight.grad = gradient
    torch.manual_seed(3)
    stream = torch.get_rng_state()
    assert compile_forward(network, SHAPE, FULL_PRECISION)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(weight.grad is gradient for weight, gradient in zip(network.parameters(), kept, strict=True))
    assert all(bool((gradient == 7).all()) for gradient in kept)
    assert not network.training
    assert torch.equal(torch.get_rng_state(), stream)


def test_a_copy_of_a_compiled_network_runs_with_its_own_weights(backend: Counting) -> None:
    network = fresh().train()
    x = torch.rand(SHAPE)
    with compiling(network, SHAPE, FULL_PRECISION):
        copy = deepcopy(network)
        with torch.no_grad():
            copy.classifier.head.weight.zero_()
            copy.classifier.head.bias.fill_(5)
        assert bool((copy(x) == 5).all())
        assert not bool((network(x) == 5).any())


def test_one_process_can_compile_for_any_number_of_trainings(backend: Counting) -> None:
    # What is compiled is kept with the code, and no more than eight versions of one code are.
    for _ in range(9):
        network = fresh().train()
        network.classifier = Means()
        with compiling(network, SHAPE, FULL_PRECISION) as is_compiled:
            assert is_compiled
    assert backend.shapes == [SHAPE] * 9
