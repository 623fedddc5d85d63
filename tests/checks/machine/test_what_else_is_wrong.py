"""The checks of a machine find states that are lost, estimates of memory that are wrong, and a slow machine."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.checks.machine import examination, going_on
from bench.checks.machine.examination import CHECKS, examine_machine
from bench.checks.machine.going_on import resumed
from bench.checks.machine.machine import CPU, Machine
from bench.checks.machine.measured import Measured, graded, held
from bench.checks.machine.memory_fits import kept_bytes_per_image, memory
from bench.checks.machine.speeds import speeds
from bench.core.errors import Stopped
from bench.engine import microbatches, trained, training
from bench.engine.step import restore
from bench.perf import rates

pytestmark = pytest.mark.slow


def test_what_was_stopped_goes_on_to_the_same_bits(machine: Machine) -> None:
    found = list(resumed(machine))
    assert [(one.verdict, one.measured, one.limit, one.note) for one in found] == [("✓", 0, 0, "the same bits")] * 2


@pytest.mark.parametrize(("place", "name"), [(training, "training"), (trained, "em-online")])
def test_a_momentum_that_is_lost_shows(
    place: Any, name: str, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgets(network: torch.nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
        restore(network, optimizer, {key: one for key, one in tensors.items() if "momentum" not in key})

    monkeypatch.setattr(place, "restore", forgets)
    afresh = Machine(CPU, machine.sizes, tmp_path)
    wrong = [one for one in resumed(afresh) if one.verdict != "✓"]
    assert [(one.verdict, one.name) for one in wrong] == [("✗", f"{name}, resumed and undisturbed")]
    assert (wrong[0].measured or 0) > 0.01
    assert "let runs end without a stop" in wrong[0].advice


def _unheard(resume: Any, once: Callable[[], Any]) -> Any:
    def deaf() -> Any:
        with suppress(Stopped):
            once()

    return resume(deaf)


def test_a_run_that_does_not_stop_is_no_proof(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(going_on, "_resumed", partial(_unheard, going_on._resumed))
    with pytest.raises(RuntimeError, match="what was asked to stop went on"):
        list(resumed(Machine(CPU, machine.sizes, tmp_path)))


def test_memory_is_held_against_the_estimate_of_the_micro_batches(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fine,) = memory(machine)
    assert fine.verdict == "✓"
    assert fine.measured is not None
    assert fine.limit is not None
    assert fine.measured < fine.limit < fine.measured + 60  # times the memory of the images: what comes and goes
    for share, verdict in ((0.9, "·"), (0.2, "✗")):
        estimate = int(share * fine.measured * machine.timed_images[0].numel() * 4)
        monkeypatch.setattr(microbatches, "memory_of_an_image", lambda *trial, estimate=estimate: estimate)
        (found,) = memory(machine)
        assert found.verdict == verdict
        assert found.limit == pytest.approx(share * fine.measured, rel=1e-4)
        assert "may run out of memory" in found.advice


def test_what_a_pass_keeps_is_half_as_much_in_half_the_bytes(machine: Machine) -> None:
    images = machine.timed_images
    network = machine.seen("resnet8", images)
    full, half = (kept_bytes_per_image(network, one, images) for one in ("fp32", "bf16"))
    # The outputs of the seven ReLUs alone: 16 channels of 32x32 three times, 32 of 16x16 and 64 of 8x8 twice each.
    assert full >= 4 * (3 * 16 * 32**2 + 2 * 32 * 16**2 + 2 * 64 * 8**2)
    assert half == pytest.approx(full / 2, rel=0.02)


@pytest.fixture
def rate(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what sets the rates of matrix products and of copies: with all threads, and with one."""

    def settled(products: tuple[float, float], copies: tuple[float, float]) -> None:
        of_products, of_copies = iter(products), iter(copies)
        monkeypatch.setattr(rates, "matmul_flops_per_second", lambda precision, device: next(of_products))
        monkeypatch.setattr(rates, "copy_bytes_per_second", lambda device: next(of_copies))

    return settled


def test_rates_are_held_against_one_thread_and_work_against_rates(rate: Callable[..., None], machine: Machine) -> None:
    rate((2.0, 1.0), (2.0, 1.0))
    assert [one.verdict for one in speeds(machine)] == ["✓"] * 4
    rate((1.0, 10.0), (1.0, 2.0))
    slow = list(speeds(machine))
    assert [one.verdict for one in slow] == ["✗", "·", "✓", "✓"]
    assert "set OMP_NUM_THREADS" in slow[0].advice
    rate((1e30, 1.0), (1e30, 1.0))
    assert [one.verdict for one in speeds(machine)] == ["✓", "✓", "✗", "✗"]


def test_a_check_that_breaks_down_is_in_the_way_and_the_others_go_on(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(machine: Machine) -> Iterator[Measured]:
        yield held("first", 1.0, "", "at least", 0.0, "")
        raise torch.OutOfMemoryError("CUDA out of memory")

    def works(machine: Machine) -> Iterator[Measured]:
        yield held("last", 1.0, "", "at least", 0.0, "")

    begun: list[str] = []
    monkeypatch.setattr(examination, "CHECKS", {"a": breaks, "b": works})
    found = list(examine_machine(CPU, machine.sizes, begun.append))
    assert begun == ["a", "b"]
    assert [(one.name, one.verdict) for one in found] == [("first", "✓"), ("a", "✗"), ("last", "✓")]
    assert "OutOfMemoryError: CUDA out of memory" in found[1].advice
    assert len(CHECKS) == 7


@pytest.mark.parametrize(
    ("measured", "bound", "verdicts"),
    [
        *((1.0, "at least", "✓✓"), (0.9, "at least", "✗·"), (0.2, "at least", "✗✗"), (math.nan, "at least", "✗✗")),
        *((1.0, "at most", "✓✓"), (1.1, "at most", "✗·"), (5.0, "at most", "✗✗"), (math.nan, "at most", "✗✗")),
    ],
)
def test_a_verdict_follows_from_the_limit(measured: float, bound: Any, verdicts: str) -> None:
    pair = [make("it", measured, "of it", bound, 1.0, "do this", "so") for make in (held, graded)]
    assert "".join(one.verdict for one in pair) == verdicts
    assert [one.advice for one in pair] == ["" if one == "✓" else "do this" for one in verdicts]
    assert (pair[0].to_dict()["measured"] is None) == math.isnan(measured)
    assert f"it: {measured:.4g} (of it, {bound} 1, so)" in str(pair[0])
