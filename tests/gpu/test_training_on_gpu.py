"""Training on a GPU: it waits for nothing between steps, writes meanwhile, and graphs change none of its steps."""

import threading
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.contracts.defense import DEFENSES, Defense, Defenses
from bench.contracts.network import Network, build_network
from bench.core.device import precision, stated_precision
from bench.engine.background import in_background
from bench.engine.capturing import capture_forward, capturing
from bench.engine.recipe import Recipe
from bench.engine.release import audit
from bench.engine.step import autocast_for, make_optimizer
from bench.engine.training import History, Labelled, train, train_epoch
from bench.plan.checkpoints import checkpoint_name
from bench.store.draft import Draft
from tests.making.images import noise
from tests.making.trainings import draft, recipe

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

GPU = torch.device("cuda", 0)
SIDE, BATCH = 32, 64
FORMATS = ["fp32", "bf16"]


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield
    torch.cuda.set_sync_debug_mode("default")


def labelled(count: int, seed: int = 0) -> Labelled:
    return Labelled(noise(count, side=SIDE, seed=seed).to(GPU), (torch.arange(count) % 3).to(GPU), 3)


def fresh(images: Tensor | None = None) -> Network:
    return build_network("resnet8", 3, noise(64, side=SIDE), normalise=True, seed=0, device=GPU)


def how(**fields: Any) -> Recipe:
    return recipe(batch_size=BATCH, **fields)


def epoch(network: nn.Module, optimizer: torch.optim.Optimizer, steps: int, defense: Defense, number: int) -> None:
    defense.classes = 3
    train_epoch(network, optimizer, labelled(steps * BATCH), how(), Defenses([defense]), 0, number)


def trained(folder: Path, *, compile: bool = False, **fields: Any) -> tuple[nn.Module, History]:
    return train(
        fresh,
        labelled(5 * BATCH + 2),
        labelled(100, seed=1),
        how(**fields),
        Defenses([]),
        0,
        draft=draft(folder),
        checkpoint=checkpoint_name,
        compile=compile,
    )


@pytest.mark.parametrize("name", [name for name in DEFENSES.names() if name not in ("pretrained", "purified")])
def test_no_step_waits_for_the_device(name: str) -> None:
    defense = DEFENSES.get(name)()
    defense.classes = 3
    network = Defenses([defense]).network(fresh())
    optimizer = make_optimizer(network, how())
    epoch(network, optimizer, 2, defense, 0)
    waits = []
    for steps in (2, 5):
        torch.cuda.set_sync_debug_mode("warn")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            epoch(network, optimizer, steps, defense, 1)
        torch.cuda.set_sync_debug_mode("default")
        waits.append(sum("synchroniz" in str(one.message) for one in caught))
    assert waits[0] == waits[1] > 0


@pytest.mark.parametrize("number_format", FORMATS)
def test_a_replayed_pass_has_the_gradients_of_the_eager_one(number_format: str) -> None:
    eager, captured = fresh().train(), fresh().train()
    assert capture_forward(captured, (BATCH, 3, SIDE, SIDE), number_format)
    for seed in range(3):  # each overwrites what the last one left
        x, y = noise(BATCH, side=SIDE, seed=seed).to(GPU).float() / 255, (torch.arange(BATCH) % 3).to(GPU)
        x = x.contiguous(memory_format=torch.channels_last)
        gradients = []
        for network in (eager, captured):
            network.zero_grad(set_to_none=True)
            with autocast_for(GPU, number_format):
                loss = F.cross_entropy(network(x), y)
            loss.backward()
            gradients.append(torch.cat([one.grad.flatten() for one in network.parameters() if one.grad is not None]))
        assert float(F.cosine_similarity(gradients[0], gradients[1], dim=0)) > 0.999
    for name, value in eager.named_buffers():
        torch.testing.assert_close(captured.get_buffer(name), value, rtol=1e-2, atol=1e-3)


def test_dropout_draws_anew_in_every_replay() -> None:
    class Dropping(Network):
        def forward(self, x: Tensor) -> Tensor:
            return F.dropout(super().forward(x), training=self.training)

    plain = fresh()
    network = Dropping(plain.classifier, torch.zeros(3), torch.ones(3)).to(GPU).train()
    x = torch.rand(BATCH, 3, SIDE, SIDE, device=GPU)
    with capturing(network, (BATCH, 3, SIDE, SIDE), "fp32") as is_captured:
        assert is_captured
        first, second = network(x).clone(), network(x).clone()
    assert not torch.equal(first == 0, second == 0)


@pytest.mark.parametrize("number_format", FORMATS)
def test_a_compiled_and_replayed_training_is_the_training(
    number_format: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, plain = trained(tmp_path / "plain", precision=number_format)
    network, fast = trained(tmp_path / "fast", precision=number_format, compile=True)
    assert fast.compiled
    assert not [one for one in caplog.records if one.name == "sepbench"], caplog.text
    assert fast.train_loss == pytest.approx(plain.train_loss, rel=0.1)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1, "compiled again for its capture"
    assert "forward" not in vars(network)


def test_training_goes_on_while_checkpoints_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, may_write = draft(tmp_path), threading.Event()
    put = made.put

    def held(name: str, tensors: Mapping[str, Tensor], info: Mapping[str, Any] = {}) -> None:
        assert may_write.wait(60)
        put(name, tensors, info)

    monkeypatch.setattr(made, "put", held)
    network = fresh()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with in_background(made) as background:
        background.put("epoch-000", network.state_dict())
        with torch.no_grad():
            for value in network.state_dict().values():
                value.zero_()
        may_write.set()
    kept = made.tensors("epoch-000")
    assert all(torch.equal(kept[name], value.cpu()) for name, value in before.items())


def test_what_is_put_does_not_wait_for_what_is_queued(tmp_path: Path) -> None:
    weights, large = torch.ones(4, device=GPU), torch.rand(4096, 4096, device=GPU)
    large @ large
    torch.cuda.synchronize()
    with in_background(draft(tmp_path)) as background:
        background.put("epoch-000", {"weights": weights})
        for _ in range(2000):
            large @ large
        busy = torch.cuda.Event()
        busy.record()
        background.wait()
        assert not busy.query()
    torch.cuda.synchronize()


def test_checkpoints_on_the_disk_are_those_of_their_epochs(tmp_path: Path) -> None:
    network, _ = trained(tmp_path)
    found: Draft = draft(tmp_path)
    assert [name for name in found.names() if name != "state"] == [checkpoint_name(one) for one in range(3)]
    last = found.tensors(checkpoint_name(2))
    assert all(torch.equal(last[name], value.cpu()) for name, value in network.state_dict().items())


def test_the_audit_of_a_gpu_is_that_of_a_cpu() -> None:
    clean = noise(64, side=SIDE)
    released = (clean.int() + torch.randint(-4, 5, clean.shape)).clamp(0, 255).to(torch.uint8)
    here, there = audit(clean, released).to_dict(), audit(clean, released, GPU).to_dict()
    assert there == pytest.approx(here, rel=1e-4)


def test_fp32_is_stated_as_what_convolutions_do() -> None:
    x, weight = torch.rand(8, 64, 32, 32, device=GPU), torch.rand(64, 64, 3, 3, device=GPU)
    exact = F.conv2d(x.double(), weight.double(), padding=1)
    error = float(((F.conv2d(x, weight, padding=1) - exact) / exact).abs().amax())
    assert precision(GPU, "fp32") == "fp32"
    assert (stated_precision(GPU, "fp32") == "tf32") == (error > 1e-5)
