"""What is held against what on a GPU alone, told from numbers that no GPU is needed for."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from bench.checks.machine import going_on, memory_fits
from bench.checks.machine.machine import Machine
from bench.checks.machine.memory_fits import memory
from bench.checks.machine.speeds import _rates_of_gpu
from bench.perf import rates

pytestmark = pytest.mark.slow


@pytest.fixture
def gpu(tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with a GPU that nothing is computed on."""
    monkeypatch.setattr("bench.checks.machine.machine.precision", lambda device: "bf16")
    return Machine(torch.device("cuda", 0), machine.sizes, tmp_path)


def test_a_gpu_whose_bf16_is_slower_than_its_fp32_is_led_to_fp32(gpu: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "matmul_flops_per_second", lambda precision, device: 8e12)
    monkeypatch.setattr(rates, "copy_bytes_per_second", lambda device: 1e10)
    monkeypatch.setattr(rates, "upload_bytes_per_second", lambda device, pinned: 25e9 if pinned else 8e9)
    products, copies, uploads = _rates_of_gpu(gpu, 1e12, 1e12)
    assert (products.verdict, copies.verdict, uploads.verdict) == ("✗", "✓", "✓")
    assert "set precision to fp32" in products.advice
    assert uploads.note == "of pinned memory; 8 of other"
    monkeypatch.setattr(rates, "upload_bytes_per_second", lambda device, pinned: 5e8)
    assert [one.verdict for one in _rates_of_gpu(gpu, 8e14, 1e9)] == ["✓", "✗", "✗"]


@pytest.mark.parametrize(("lost", "verdict"), [(0.0, "✓"), (0.02, "✓"), (0.3, "✗")])
def test_on_a_gpu_resuming_is_held_against_running_again(lost: float, verdict: str, gpu: Machine) -> None:
    def run(name: str, stop: bool) -> list[Tensor]:
        return [torch.tensor([1.0 + (lost if stop else 0.01 * name.endswith("again")), 1.0])]

    found = going_on._held(gpu, "it", [torch.zeros(2)], run)
    assert found.verdict == verdict
    assert found.limit == pytest.approx(3 * 0.01 / 2**0.5)
    assert "run again without a stop" in found.note


@pytest.mark.parametrize(("times", "verdict"), [(300, "✓"), (900, "·"), (3000, "✗")])
def test_on_a_gpu_the_peak_is_held_against_the_estimate(
    times: int, verdict: str, gpu: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = iter([10, 10 + times * 8 * 3 * 32 * 32 * 4])
    for name in ("synchronize", "empty_cache", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, name, lambda *device: None)
    for name in ("memory_allocated", "max_memory_allocated"):
        monkeypatch.setattr(torch.cuda, name, lambda device: next(taken))
    monkeypatch.setitem(vars(gpu), "timed_step", lambda: None)
    monkeypatch.setattr(memory_fits, "_estimate", lambda machine: 700 * 3 * 32 * 32 * 4)
    (found,) = memory(gpu)
    assert (found.verdict, found.measured, found.limit) == (verdict, times, 700)
    assert "leave the GPU to one process" in found.advice or verdict == "✓"
