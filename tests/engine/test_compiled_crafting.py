"""What is compiled for crafting: once for checkpoints, losses and shards, and the networks keep their own weights."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn
from torch._dynamo.backends.registry import lookup_backend

from bench.contracts.budget import Budget
from bench.contracts.context import CraftContext
from bench.contracts.method import METHODS, CraftData
from bench.contracts.network import Classifier, Network
from bench.engine.ensemble import Ensemble, FeatureAlignment
from tests.making.images import noise
from tests.making.networks import CPU, checkpoints

pytestmark = pytest.mark.slow

CLEAN = noise(10).double() / 255
TARGETS = torch.arange(10)


class Graphs:
    """Compiles without a code generator, and notes in which format a graph computes."""

    def __init__(self) -> None:
        self.formats: list[torch.dtype] = []

    def __call__(self, graph: fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        self.formats.append(next(one.dtype for one in inputs if one.shape[1:] == CLEAN.shape[1:]))
        compiled: Callable[..., Any] = lookup_backend("aot_eager")(graph, inputs)
        return compiled


def test_losses_share_what_is_compiled() -> None:
    backend = Graphs()
    ensemble = Ensemble(checkpoints(2), backend=backend)
    ensemble.micro_batches.size = 10
    ensemble.mean_gradient(CLEAN, TARGETS)
    aligned = FeatureAlignment([torch.rand(10, network.head.in_features).double() for network in ensemble.networks])
    ensemble.gradient(1, CLEAN, TARGETS, aligned)
    ensemble.loss = aligned
    ensemble.mean_gradient(CLEAN, TARGETS)
    assert backend.formats == [torch.float64]


def test_a_precision_is_compiled_once_for_all_shards() -> None:
    backend = Graphs()
    singles = [Network(one.classifier, one.mean, one.std) for one in checkpoints(2)]
    for precision in ("fp32", "bf16"):
        ensemble = Ensemble(singles, precision=precision, backend=backend)
        ensemble.micro_batches.size = 10
        for shard in (10, 10, 3):
            ensemble.mean_gradient(CLEAN[:shard], TARGETS[:shard])
    assert backend.formats == [torch.float64, torch.bfloat16]


def test_networks_without_gradients_keep_their_own_weights_while_others_are_compiled() -> None:
    ensemble, eager = Ensemble(checkpoints(3), backend=Graphs()), Ensemble(checkpoints(3))
    ensemble.micro_batches.size = 10
    for index in (2, 0, 1):
        ensemble.gradient(index, CLEAN, TARGETS)
        with torch.no_grad():
            for fast, slow in zip(ensemble.networks, eager.networks, strict=True):
                assert torch.equal(fast(CLEAN), slow(CLEAN))


def test_weights_are_exchanged_without_a_call_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    ensemble = Ensemble(checkpoints(2), backend=Graphs())
    ensemble.micro_batches.size = 10
    ensemble.mean_gradient(CLEAN, TARGETS)
    calls: Counter[str] = Counter()
    for name in ("__setattr__", "__getattr__", "register_parameter"):
        original = getattr(nn.Module, name)

        def counting(*arguments: Any, name: str = name, original: Any = original) -> Any:
            calls[name] += 1
            return original(*arguments)

        monkeypatch.setattr(nn.Module, name, counting)
    extractor = ensemble.networks[1].extractor
    assert extractor is not None
    monkeypatch.setattr(extractor.func, "_run", lambda x: x)  # type: ignore[attr-defined]
    extractor(CLEAN)
    assert calls.total() == 0


class Sized(Classifier):
    """Cannot be traced, for it looks at the number of images, but can be captured."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 10)

    def features(self, x: Tensor) -> Tensor:
        features: Tensor = self.conv(x if len(x) > 1 else -x).relu().mean((2, 3))
        return features


def test_memory_that_runs_out_while_compiling_makes_batches_smaller_and_stays_compiled() -> None:
    def greedy(graph: fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        if any(one.shape[1:] == CLEAN.shape[1:] and len(one) > 5 for one in inputs):
            raise torch.OutOfMemoryError("no memory to try kernels in")
        compiled: Callable[..., Any] = lookup_backend("aot_eager")(graph, inputs)
        return compiled

    ensemble = Ensemble(checkpoints(2), backend=greedy)
    ensemble.micro_batches.size = 10
    found = ensemble.mean_gradient(CLEAN, TARGETS)
    assert ensemble.compiled.active
    assert ensemble.micro_batches.size == 5
    torch.testing.assert_close(found, Ensemble(checkpoints(2)).mean_gradient(CLEAN, TARGETS), rtol=1e-9, atol=1e-14)


def test_one_process_compiles_for_any_number_of_ensembles_of_networks_that_cannot_be_traced() -> None:
    for _ in range(12):
        network = Network(Sized(), torch.full((3,), 0.5), torch.full((3,), 0.25)).double().eval()
        ensemble = Ensemble([network], backend=Graphs())
        ensemble.mean_gradient(CLEAN, TARGETS)
        assert ensemble.compiled.active


@pytest.mark.parametrize("as_released", [False, True])
def test_sep_fa_compiles_its_checkpoints_once(as_released: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Graphs()
    monkeypatch.setattr("bench.engine.ensemble.backend_for", lambda device: backend)
    kind = METHODS.get("sep-fa")
    method = kind(kind.Params.model_validate({"checkpoints": 3, "steps": 2, "train_mode_means": as_released}))
    data = CraftData(CLEAN, TARGETS, 10, torch.arange(10))
    context = CraftContext([list(checkpoints(3))], seed=0, device=CPU, images=10)
    method.prepare(lambda: iter([data]), context)
    method.craft(data, Budget.parse("linf-8"), context)
    assert len(backend.formats) == 1
