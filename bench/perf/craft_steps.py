"""Throughput of crafting against a plain loop, measured in the same run, in turns."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.contracts.budget import Budget
from bench.contracts.context import CraftContext
from bench.contracts.method import METHODS, CraftData
from bench.contracts.network import Network, build_network
from bench.perf.rates import matmul_flops_per_second
from bench.perf.turns import baseline, in_turns
from bench.plan.cost import flops_of_a_pass
from bench.record.provenance import machine_name
from bench.run.stages.shards import shard_size

_CLASSES = 10
_CPU_BATCH = 64


def craft_throughput(
    architecture: str,
    checkpoints: Sequence[int],
    precisions: Sequence[str],
    side: int,
    batch: int | None,
    device: torch.device,
) -> dict[str, Any]:
    """Time SEP's steps against a plain loop over the same checkpoints.

    The plain loop is what public scripts do: float32, eager, contiguous NCHW, and each checkpoint reloaded from disk
    for each gradient; on a CPU it has a process of its own. Both loops take turns, three rounds each after three to
    warm up; medians are compared.

    Parameters
    ----------
    architecture
        A name in `ARCHITECTURES`.
    checkpoints
        Numbers of checkpoints to measure one after the other.
    precisions
        Of the engine: fp32, bf16.
    side, batch
        Images are batch x 3 x side x side; None is 64 on a CPU, and on a GPU as many as a run crafts at a time.

    Returns
    -------
    JSON: for each number of checkpoints and precision forward+backward passes of one image per second, what one costs,
    the ratio to the plain loop of the same round, peak GPU memory; for each precision `spread`, the dearest of these
    numbers' passes over the cheapest; and the device's measured rate of matrix products.

    """
    batch = batch or usual_batch(side, device)
    images, data = _batch(batch, side, device)
    flops = flops_of_a_pass(architecture, _CLASSES, side, side)
    rates = {precision: matmul_flops_per_second(precision, device) for precision in precisions}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for count in checkpoints:
            networks = _trained_lookalikes(architecture, count, images, device)
            paths = [Path(folder) / f"{index}.pt" for index in range(count)]
            for network, path in zip(networks, paths, strict=True):
                torch.save(network.state_dict(), path)
            loops = {precision: _sep_loop(networks, data, precision, device) for precision in precisions}
            with baseline(device, _plain_loop, architecture, paths, batch, side, device) as plain:
                seconds, memory = in_turns({"plain": plain, **loops}, device)
            for precision in precisions:
                passes = count * batch / median(seconds[precision])
                rows.append(
                    {
                        "checkpoints": count,
                        "precision": precision,
                        "passes_per_second": round(passes, 1),
                        "microseconds_per_pass": round(1e6 / passes, 1),
                        "plain_passes_per_second": round(count * batch / median(seconds["plain"]), 1),
                        "ratio": round(median(seconds["plain"]) / median(seconds[precision]), 2),
                        "ratios": [round(a / b, 2) for a, b in zip(seconds["plain"], seconds[precision], strict=True)],
                        "share_of_matmul_rate": round(passes * flops / rates[precision], 3),
                        "peak_memory_mb": memory[precision],
                    }
                )
    return {
        "what": "craft",
        "device": machine_name(device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "architecture": architecture,
        "image": side,
        "batch": batch,
        "gflops_per_pass": round(flops / 1e9, 3),
        "matmul_gflops_per_second": {precision: round(rate / 1e9, 1) for precision, rate in rates.items()},
        "spread": {precision: _spread(rows, precision) for precision in precisions},
        "rows": rows,
    }


def usual_batch(side: int, device: torch.device) -> int:
    """Return how many images a step takes where nobody says: on a GPU as many as a run crafts at a time."""
    return shard_size((side, side), device) if device.type == "cuda" else _CPU_BATCH


def _batch(batch: int, side: int, device: torch.device) -> tuple[Tensor, CraftData]:
    draws = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (batch, 3, side, side), dtype=torch.uint8, generator=draws)
    labels = (torch.arange(batch) % _CLASSES).to(device)
    return images, CraftData(images.to(device).float() / 255, labels, _CLASSES, torch.arange(batch))


def _spread(rows: Sequence[dict[str, Any]], precision: str) -> float:
    """Return the cost of a pass at the number of checkpoints where it is highest, over the lowest."""
    costs: list[float] = [1 / row["passes_per_second"] for row in rows if row["precision"] == precision]
    return round(max(costs) / min(costs), 2)


def _trained_lookalikes(architecture: str, count: int, images: Tensor, device: torch.device) -> list[Network]:
    """Return networks whose batch norm has the statistics of the images, as after training."""
    networks = []
    for seed in range(count):
        network = build_network(architecture, _CLASSES, images, normalise=True, seed=seed, device=device)
        with torch.no_grad():
            network.train()(images[:32].to(device).float() / 255)
        networks.append(network.eval())
    return networks


def _sep_loop(networks: list[Network], data: CraftData, precision: str, device: torch.device) -> Callable[[], Tensor]:
    kind = METHODS.get("sep")
    method = kind(kind.Params.model_validate({"checkpoints": len(networks), "steps": 1, "precision": precision}))
    ctx = CraftContext([networks], seed=0, device=device, images=len(data.y))
    method.prepare(lambda: iter([data]), ctx)
    budget = Budget.parse("linf-8")
    return lambda: method.craft(data, budget, ctx)


def _plain_loop(
    architecture: str, paths: list[Path], batch: int, side: int, device: torch.device
) -> Callable[[], Tensor]:
    images, data = _batch(batch, side, device)
    network = build_network(architecture, _CLASSES, images, normalise=True, seed=0, device=device).eval()
    network = network.to(memory_format=torch.contiguous_format)
    target = (data.y + _CLASSES // 2) % _CLASSES

    def step() -> Tensor:
        x = data.x.clone().requires_grad_()
        total = torch.zeros_like(x)
        for path in paths:
            network.load_state_dict(torch.load(path, map_location=device, weights_only=True))
            network.zero_grad()
            F.cross_entropy(network(x), target, reduction="sum").backward()
            assert x.grad is not None
            total += x.grad
            x.grad = None
        radius = 8 / 255
        return torch.clamp(torch.clamp(data.x - total.sign() / 255, data.x - radius, data.x + radius), 0, 1)

    return step
