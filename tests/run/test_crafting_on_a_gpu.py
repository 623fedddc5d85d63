"""Crafting on a GPU, as far as a CPU can tell: larger shards, sent without waiting, and an audit on the device."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bench.contracts import network as networks
from bench.contracts.context import CraftContext
from bench.contracts.method import METHODS, Surrogate
from bench.data.images import Splits
from bench.engine.release import audit
from bench.perf.craft_steps import usual_batch
from bench.plan import checkpoints as loading
from bench.plan.checkpoints import Checkpoints, checkpoint_name, load_checkpoints
from bench.run.stages.shards import SHARD, shard_size, shards
from bench.store.artifacts import Store
from methods._online import Batches
from tests.making import crafting
from tests.making.crafting import BUDGETS, CPU, digits
from tests.making.pretended_gpu import BACK, GPU, SENT, pretended_gpu


@pytest.mark.parametrize(("processors", "times"), [(14, 1), (40, 1), (68, 2), (108, 3), (132, 4), (264, 4)])
def test_a_shard_is_larger_on_a_large_gpu(processors: int, times: int) -> None:
    with pretended_gpu(processors=processors):
        assert shard_size((32, 32), GPU) == times * SHARD
        assert shard_size((64, 64), GPU) == times * SHARD // 4
        assert shard_size((224, 224), GPU) == max(64, times * SHARD * 32 * 32 // 224**2)


def test_a_gpu_is_measured_with_as_many_images_as_a_run_gives_it() -> None:
    with pretended_gpu(processors=132):
        assert usual_batch(32, GPU) == shard_size((32, 32), GPU) == 4096
    assert usual_batch(32, CPU) == 64


def test_on_a_cpu_a_shard_is_what_it_was() -> None:
    assert [shard_size((side, side), CPU) for side in (16, 32, 64, 224)] == [1024, 1024, 256, 64]


def test_shards_are_sent_as_bytes_and_without_waiting() -> None:
    splits = Splits(digits(), digits())
    with pretended_gpu() as waits:
        parts = list(shards(splits, 10, GPU))
        assert waits[SENT] == 0
        assert waits[BACK] == 0
        again = torch.cat([part.x.cpu() for part in parts])
        assert {part.index.device for part in parts} == {CPU}
    assert torch.equal(again, digits().images.float() / 255)


def test_the_audit_on_a_gpu_says_what_that_on_the_cpu_says() -> None:
    clean = digits().images
    changed = clean.clone()
    changed[:, :, ::3] ^= 7
    expected = audit(clean, changed).to_dict()
    with pretended_gpu() as waits:
        found = audit(clean, changed, GPU).to_dict()
        assert waits[SENT] == 0
    assert found["ssim"] == pytest.approx(expected.pop("ssim"), abs=1e-6)
    assert {**found, "ssim": None} == {**expected, "ssim": None}


def counting(monkeypatch: pytest.MonkeyPatch, holder: object, name: str) -> list[None]:
    """Let the calls of a function be counted."""
    calls: list[None] = []
    original: Callable[..., object] = getattr(holder, name)

    def noted(*arguments: object, **named: object) -> object:
        calls.append(None)
        return original(*arguments, **named)

    monkeypatch.setattr(holder, name, noted)
    return calls


def test_checkpoints_are_loaded_into_copies_of_one_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, saved = Store(tmp_path), []
    draft = store.draft("surrogate", "0" * 16)
    for epoch in range(3):
        network = networks.build_network("resnet8", 10, digits().images, normalise=True, seed=epoch, device=CPU)
        saved.append(network.state_dict())
        draft.put(checkpoint_name(epoch), saved[-1])
    meta = {"seconds": 0.0, "history": {"test_acc": [0.0] * 3}}
    draft.commit(meta, keep=[checkpoint_name(epoch) for epoch in range(3)])
    built = counting(monkeypatch, loading, "build_network")
    part = Checkpoints("0" * 16, "resnet8", Surrogate(at=(0, 1, 2)), 3)
    loaded = list(load_checkpoints(part, digits(), store, CPU))
    assert len(built) == 1
    for network, weights in zip(loaded, saved, strict=True):
        assert not network.training
        assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())


def test_the_order_of_an_epoch_is_drawn_and_sent_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ctx, order = CraftContext([], seed=3, device=GPU, images=23), Batches(23, 5, shuffled=True)
    expected = [
        torch.randperm(23, generator=ctx.generator("order", step // 4))[5 * (step % 4) : 5 * (step % 4) + 5]
        for step in range(8)
    ]
    drawn = counting(monkeypatch, torch, "randperm")
    with pretended_gpu() as waits:
        for step, positions in enumerate(expected):
            assert torch.equal(order(step, ctx, GPU).cpu(), positions)
        assert waits[SENT] == 0
    assert len(drawn) == 2


def test_batches_of_another_seed_have_another_order() -> None:
    order = Batches(23, 5, shuffled=True)
    first, second = (order(0, CraftContext([], seed=seed, device=CPU), CPU) for seed in (0, 1))
    assert not torch.equal(first, second)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_craft_stage_says_in_which_format_its_networks_computed(
    precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = METHODS.get("single-checkpoint")
    params = kind.Params.model_validate({"steps": 1, "precision": precision})
    monkeypatch.setattr(crafting, "small_params", lambda kind: params)
    crafting.protect(tmp_path, kind, BUDGETS["linf"], digits())
    (made,) = (tmp_path / "craft").rglob("meta.json")
    assert json.loads(made.read_text())["meta"]["provenance"]["precision"] == precision
