"""The crafting engine on a GPU: compiled, within its memory, without waiting for the device."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.contracts.budget import Budget
from bench.contracts.context import CraftContext
from bench.contracts.method import (
    METHODS,
    CraftData,
    Method,
)
from bench.contracts.network import Network, build_network
from bench.engine.ensemble import Ensemble, class_means
from bench.engine.release import audit

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

GPU = torch.device("cuda", 0)
BUDGET = Budget.parse("linf-8")


@pytest.fixture(autouse=True)
def _nothing_compiled_before() -> Iterator[None]:
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield
    torch.cuda.set_sync_debug_mode("default")
    torch.cuda.set_per_process_memory_fraction(1.0)


@cache
def images(count: int) -> Tensor:
    return torch.randint(0, 256, (count, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@cache
def checkpoints(count: int) -> list[Network]:
    """Return networks whose batch norm has seen the images, on the GPU."""
    networks = []
    for seed in range(count):
        network = build_network("resnet8", 10, images(64), normalise=True, seed=seed, device=GPU).train()
        with torch.no_grad():
            network(images(64).to(GPU).float() / 255)
        networks.append(network.eval())
    return networks


def data(count: int) -> CraftData:
    return CraftData(images(count).to(GPU).float() / 255, (torch.arange(count) % 10).to(GPU), 10, torch.arange(count))


def prepared(name: str, **params: Any) -> tuple[Method, CraftContext]:
    kind = METHODS.get(name)
    method = kind(kind.Params.model_validate({"steps": 2, **params}))
    networks = [checkpoints(4)[: params.get("checkpoints", 1)]]
    context = CraftContext(networks, seed=0, device=GPU, images=64, architecture="resnet8" if method.trains else "")
    method.prepare(lambda: iter([data(64)]), context)
    return method, context


def plain_gradient(network: Network, x: Tensor, y: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    return torch.autograd.grad(F.cross_entropy(network(x), y, reduction="sum"), x)[0]


def test_the_checkpoints_of_an_architecture_are_compiled_once_and_give_the_plain_gradients(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ensemble, part = Ensemble(checkpoints(4)), data(64)
    for index in range(4):
        fast = ensemble.gradient(index, part.x, part.y).flatten(1)
        slow = plain_gradient(checkpoints(4)[index], part.x, part.y).flatten(1)
        assert float(F.cosine_similarity(fast, slow).min()) > 0.99
    assert ensemble.compiled.active, caplog.text
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    # The last shard of a data set is smaller.
    assert ensemble.mean_gradient(part.x[:10], part.y[:10]).shape == part.x[:10].shape
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("budget", ["linf-8", "l2-1"])
@pytest.mark.parametrize(
    ("name", "params"),
    [("sep", {}), ("sep-fa", {}), ("sep-fa-vr", {"inner_steps": 2})],
)
def test_crafting_never_waits_for_the_device(name: str, params: dict[str, Any], budget: str, precision: str) -> None:
    method, context = prepared(name, checkpoints=4, precision=precision, **params)
    part, ball = data(64), Budget.parse(budget)
    first = method.craft(part, ball, context)
    torch.cuda.set_sync_debug_mode("error")
    again = method.craft(part, ball, context)
    torch.cuda.set_sync_debug_mode("default")
    assert method.ensemble.compiled.active  # type: ignore[attr-defined]
    assert float((first - again).abs().mean()) < 1e-3


@pytest.mark.parametrize("name", ["tap", "aap", "hypo", "entf-pull", "single-checkpoint"])
def test_random_views_and_starts_never_wait_for_the_device(name: str) -> None:
    options = {"start": "normal", "augment": True} if name == "single-checkpoint" else {}
    method, context = prepared(name, **options)
    part = data(64)
    method.craft(part, BUDGET, context)
    torch.cuda.set_sync_debug_mode("error")
    method.craft(part, BUDGET, context)


def test_a_step_of_a_method_that_trains_never_waits_for_the_device() -> None:
    method, context = prepared("em-online", steps=3, noise_steps=2, batch_size=16)
    part, generator = data(64), context.generator

    def drawn(*purpose: str | int) -> torch.Generator:
        """Refuse to wait from the first draw of a step on; the epoch, after which weights are looked at, is longer."""
        if purpose[:1] == ("training",):
            torch.cuda.set_sync_debug_mode("error" if purpose[1] else "default")
        return generator(*purpose)

    context.generator = drawn  # type: ignore[method-assign]
    context.on_round = lambda: torch.cuda.set_sync_debug_mode("default")
    reached = method.craft(part, BUDGET, context)
    assert reached.shape == part.x.shape


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_image_takes_the_memory_that_micro_batches_were_sized_for(precision: Any) -> None:
    networks = [build_network("resnet18", 10, images(64), normalise=True, seed=0, device=GPU).eval()]
    part, ensemble = data(1024), Ensemble(networks, precision=precision, backend=None)
    ensemble.mean_gradient(part.x, part.y)
    peaks = []
    for size in (256, 1024):
        ensemble.micro_batches.size = size
        peaks.append(peak_of(lambda: ensemble.mean_gradient(part.x, part.y)))
    of_an_image = ensemble.micro_batches.of_an_image
    assert of_an_image is not None
    assert 0.3 < (peaks[1] - peaks[0]) / 768 / of_an_image < 1.5


def test_the_audit_on_a_gpu_says_what_that_on_the_cpu_says() -> None:
    clean = images(600)
    changed = clean ^ 3
    expected, found = audit(clean, changed), audit(clean, changed, GPU)
    assert expected.ssim is not None
    assert found.ssim == pytest.approx(expected.ssim, abs=1e-5)
    assert (found.linf_levels, found.l2, found.l0) == (expected.linf_levels, expected.l2, expected.l0)


def peak_of(work: Any) -> int:
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    work()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def test_memory_does_not_grow_with_the_number_of_shards() -> None:
    method, context = prepared("sep-fa", checkpoints=4, steps=1)
    method.craft(data(64), BUDGET, context)

    def craft(shards: int) -> None:
        class_means(checkpoints(1)[0], (data(64) for _ in range(shards)))
        for _ in range(shards):
            method.craft(data(64), BUDGET, context)

    few, many = (peak_of(lambda shards=shards: craft(shards)) for shards in (2, 12))
    assert many <= 1.05 * few


def test_activations_are_those_of_one_micro_batch() -> None:
    small, large = Ensemble(checkpoints(1)), Ensemble(checkpoints(1))
    small.micro_batches.size, large.micro_batches.size = 64, 1024
    part = data(1024)
    peaks = []
    for ensemble in (small, large):
        ensemble.mean_gradient(part.x, part.y)
        peaks.append(peak_of(lambda ensemble=ensemble: ensemble.mean_gradient(part.x, part.y)))
    assert peaks[0] < peaks[1] / 2


def test_batches_that_do_not_fit_are_made_smaller(caplog: pytest.LogCaptureFixture) -> None:
    part, (network,) = data(2048), checkpoints(1)
    batches = zip(part.x.split(64), part.y.split(64), strict=True)
    eager = torch.cat([plain_gradient(network, x, y) for x, y in batches])
    ensemble = Ensemble(checkpoints(1))
    ensemble.micro_batches.size = 2048
    torch.cuda.empty_cache()
    room = torch.cuda.memory_reserved() + 512 * 2**20
    torch.cuda.set_per_process_memory_fraction(room / torch.cuda.get_device_properties(GPU).total_memory)
    fast = ensemble.mean_gradient(part.x, part.y)
    assert float(F.cosine_similarity(fast.flatten(1), eager.flatten(1)).min()) > 0.99
    assert ensemble.micro_batches.size < 2048
    assert sum("ran out of memory" in record.getMessage() for record in caplog.records) == 1
