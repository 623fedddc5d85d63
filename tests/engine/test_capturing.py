"""The training pass as CUDA graphs: the same training, of whole batches alone, that leaves no trace and gives way."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.contracts.defense import DEFENSES
from bench.contracts.network import Network
from bench.core.errors import Stopped
from bench.engine import training
from bench.engine.capturing import CAPTURE, capture_forward, capturing
from bench.engine.training import History
from tests.making.replaying import Replaying
from tests.making.trainings import fresh, same_bits, same_curves, trained

SHAPE = (16, 3, 8, 8)  # of the whole batches of `trained`


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> Replaying:
    """Let networks be captured on a CPU, and none be compiled."""
    replaying = Replaying()
    monkeypatch.setitem(CAPTURE, "cpu", replaying)
    monkeypatch.setattr(training, "compiling", uncompiled)
    return replaying


@contextmanager
def uncompiled(*what: Any) -> Iterator[bool]:
    yield False


class Drawing(Network):
    """Draws from a stream of the host whenever it trains."""

    stream = "torch"

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            match self.stream:
                case "torch":
                    x = F.dropout(x)
                case "python":
                    x = x * random.random()
                case "numpy":
                    x = x * np.random.rand()
        return super().forward(x)


def test_it_is_the_same_training_to_the_bit(graphs: Replaying, tmp_path: Path) -> None:
    eager, eager_history = trained(tmp_path / "eager")
    network, history = trained(tmp_path / "captured", compile=True)
    assert same_bits(network, eager)
    assert same_curves(history, eager_history)
    assert not history.compiled


def test_whole_batches_are_replayed_and_nothing_else(graphs: Replaying, tmp_path: Path) -> None:
    # Three epochs of three batches of 16 and one of 2, and 30 test images after each.
    network, _ = trained(tmp_path, compile=True)
    assert (graphs.captures, graphs.replays) == (1, 9)
    assert "forward" not in vars(network)


def test_it_is_asked_for_with_compile_alone(graphs: Replaying, tmp_path: Path) -> None:
    trained(tmp_path)
    assert graphs.captures == 0


@pytest.mark.parametrize(
    "name", [name for name in DEFENSES.names() if DEFENSES.get(name).loss is not DEFENSES.get("plain").loss]
)
def test_what_asks_the_network_in_its_own_way_is_not_replayed(name: str, graphs: Replaying, tmp_path: Path) -> None:
    eager, _ = trained(tmp_path / "eager", defense=DEFENSES.get(name)())
    network, _ = trained(tmp_path / "captured", defense=DEFENSES.get(name)(), compile=True)
    assert graphs.captures == 0
    assert same_bits(network, eager)


def test_a_defense_that_changes_batches_alone_is_replayed(graphs: Replaying, tmp_path: Path) -> None:
    eager, _ = trained(tmp_path / "eager", defense=DEFENSES.get("cutmix")())
    network, _ = trained(tmp_path / "captured", defense=DEFENSES.get("cutmix")(), compile=True)
    assert graphs.replays == 9
    assert same_bits(network, eager)


def test_a_resumed_run_ends_as_an_undisturbed_one(graphs: Replaying, tmp_path: Path) -> None:
    def stop(history: History) -> None:
        raise Stopped("enough")

    whole, _ = trained(tmp_path / "whole", compile=True)
    with pytest.raises(Stopped):
        trained(tmp_path / "parts", compile=True, on_epoch=stop)
    parts, _ = trained(tmp_path / "parts", compile=True)
    assert same_bits(parts, whole)


@pytest.mark.parametrize("error", [RuntimeError("no such thing\nat all"), torch.OutOfMemoryError("all taken")])
def test_where_capturing_fails_it_is_the_training_as_before_and_one_line_says_so(
    error: Exception,
    graphs: Replaying,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def breaks(network: nn.Module, sample: tuple[Tensor], allow_unused_input: bool) -> None:
        network(sample[0])
        raise error

    eager, _ = trained(tmp_path / "eager")
    monkeypatch.setitem(CAPTURE, "cpu", breaks)
    network, _ = trained(tmp_path / "captured", compile=True)
    assert same_bits(network, eager)
    assert [record.getMessage() for record in caplog.records if record.name == "sepbench"] == [
        f"CUDA graphs failed ({type(error).__name__}: {str(error).splitlines()[0]}): kernels are launched one by one, "
        f"which is slower"
    ]


@pytest.mark.parametrize("stream", ["torch", "python", "numpy"])
def test_a_network_that_draws_on_the_host_is_not_captured_and_its_stream_goes_on(
    stream: str, graphs: Replaying, caplog: pytest.LogCaptureFixture
) -> None:
    network = Drawing(fresh().classifier, torch.zeros(3), torch.ones(3)).train()
    network.stream = stream

    def draws() -> tuple[float, float, float]:
        return float(torch.rand(())), random.random(), float(np.random.rand())

    def seed() -> None:
        torch.manual_seed(1)
        random.seed(1)
        np.random.seed(1)

    seed()
    expected = draws()
    seed()
    assert not capture_forward(network, SHAPE, "fp32")
    assert draws() == expected
    assert "draws on the host" in caplog.text
    assert "forward" not in vars(network)


@pytest.mark.parametrize("number_format", ["fp32", "bf16"])
def test_capturing_leaves_weights_statistics_gradients_and_mode_as_they_were(
    number_format: str, graphs: Replaying
) -> None:
    network = fresh().eval()
    before = deepcopy(network.state_dict())
    kept = [torch.full_like(weight, 7) for weight in network.parameters()]
    for weight, gradient in zip(network.parameters(), kept, strict=True):
        weight.grad = gradient
    assert capture_forward(network, SHAPE, number_format)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(weight.grad is gradient for weight, gradient in zip(network.parameters(), kept, strict=True))
    assert all(bool((gradient == 7).all()) for gradient in kept)
    assert not network.training


def test_other_batches_attacks_evaluation_and_passes_without_gradients_run_as_before(graphs: Replaying) -> None:
    network, x = fresh().train(), torch.rand(SHAPE)
    with capturing(network, SHAPE, "fp32") as is_captured:
        assert is_captured
        network(x[:4])
        network(x.clone().requires_grad_())
        with torch.no_grad():
            network(x)
        network.eval()(x)
        assert graphs.replays == 0
        network.train()(x)
        assert graphs.replays == 1
    assert "forward" not in vars(network)


def test_a_copy_of_a_captured_network_runs_with_its_own_weights(graphs: Replaying) -> None:
    network, x = fresh().train(), torch.rand(SHAPE)
    with capturing(network, SHAPE, "fp32"):
        copy = deepcopy(network)
        with torch.no_grad():
            copy.classifier.head.weight.zero_()
            copy.classifier.head.bias.fill_(5)
        assert bool((copy(x) == 5).all())
        assert not bool((network(x) == 5).any())


@pytest.mark.slow
def test_what_is_captured_is_what_was_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[int] = []

    def counting(graph: Any, inputs: Any) -> Any:
        compiled.append(1)
        from torch._dynamo.backends.registry import lookup_backend

        return lookup_backend("aot_eager")(graph, inputs)

    graphs = Replaying()
    monkeypatch.setitem(CAPTURE, "cpu", graphs)
    monkeypatch.setattr("bench.engine.compiling.BACKEND", counting)
    network, history = trained(tmp_path, compile=True)
    assert history.compiled
    assert (len(compiled), graphs.captures, graphs.replays) == (1, 1, 9)
    assert "forward" not in vars(network)
