"""`doctor --check` says what it measures, in lines or as one JSON object, and by its exit code whether all is fine."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from bench.checks.machine.examination import CHECKS
from bench.checks.machine.machine import Sizes
from bench.checks.machine.measured import Measured, held
from bench.cli import machine_report
from bench.engine import compiling
from bench.record.provenance import processor_name
from tests.making.asking import ask, done, refusal

pytestmark = pytest.mark.usefixtures("own_place")

FINE = held("sep, cpu", 0.99, "share", "at least", 0.9, "")
WRONG = held("training, cpu", float("nan"), "points", "at most", 3.0, "install another torch", "2 seeds")
SMALL = Sizes(images=384, test_images=200, wide="resnet8", wide_images=16, seeds=2, timed=16, batch=8)


def measuring(*found: Measured) -> Callable[..., Iterator[Measured]]:
    def examine(device: torch.device, *, begin: Callable[[str], None]) -> Iterator[Measured]:
        for one in found:
            begin(f"about {one.name}")
            yield one

    return examine


def test_lines_are_printed_as_they_come_and_progress_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_report, "examine_machine", measuring(FINE, WRONG))
    answer = ask("doctor", "--check", "--devices", "cpu")
    assert answer.code == 1
    head, *lines = answer.out.splitlines()
    assert head.startswith(f"cpu: {processor_name()}, ")
    assert f"torch {torch.__version__}" in head
    assert lines[:2] == [
        "✓ sep, cpu: 0.99 (share, at least 0.9)",
        "✗ training, cpu: nan (points, at most 3, 2 seeds): install another torch",
    ]
    assert lines[2].startswith("1 fine, 0 worth knowing, 1 in the way, in ")
    assert answer.err == "sepbench: 1 of 7: about sep, cpu\nsepbench: 2 of 7: about training, cpu\n"


def test_json_is_one_object_that_any_reader_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_report, "examine_machine", measuring(FINE, WRONG))
    answer = ask("doctor", "--check", "--json")

    def refuse(constant: str) -> Any:
        raise AssertionError(f"{constant} is no JSON")

    shown = json.loads(answer.out, parse_constant=refuse)
    assert answer.code == 1
    assert shown["device"] == "cpu"
    assert shown["versions"]["torch"] == torch.__version__
    assert shown["seconds"] >= 0
    assert [one["verdict"] for one in shown["checks"]] == ["✓", "✗"]
    assert shown["checks"][1] == {
        "name": "training, cpu",
        "verdict": "✗",
        "measured": None,
        "unit": "points",
        "bound": "at most",
        "limit": 3.0,
        "note": "2 seeds",
        "advice": "install another torch",
    }


def test_all_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_report, "examine_machine", measuring(FINE))
    assert "1 fine, 0 worth knowing, 0 in the way" in done("doctor", "--check")


def test_an_interrupted_check_ends_as_other_commands_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*given: Any, **named: Any) -> Iterator[Measured]:
        yield FINE
        raise KeyboardInterrupt

    monkeypatch.setattr(machine_report, "examine_machine", interrupted)
    answer = ask("doctor", "--check", "--json")
    assert (answer.code, answer.out) == (3, "")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--json"], "--json belongs to doctor --check: give both, or leave it out"),
        (["--devices", "cpu"], "--devices belongs to doctor --check: give both, or leave it out"),
        (["--check", "--devices", "tpu"], "--devices tpu: there is no such device; write cpu, cuda or cuda:0"),
    ],
)
def test_requests_that_make_no_sense_are_refused(arguments: list[str], sentence: str) -> None:
    assert refusal("doctor", *arguments) == sentence


@pytest.mark.slow
def test_a_cpu_is_checked_from_beginning_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sizes, "fit_for", classmethod(lambda cls, device: SMALL))
    monkeypatch.setattr(compiling, "BACKEND", "aot_eager")  # a compiler takes a minute
    answer = ask("doctor", "--check", "--devices", "cpu", "--json")
    shown = json.loads(answer.out)
    wrong = [one for one in shown["checks"] if one["verdict"] != "✓"]
    speeds = ("GFLOP/s", "GB/s", "of the rate of matrix products")  # of which other programs take what they like
    assert [one for one in wrong if one["unit"] not in speeds] == []
    assert answer.code == any(one["verdict"] == "✗" for one in wrong)
    names = " ".join(one["name"] for one in shown["checks"])
    for part in ("sep, ", "sep-fa, ", "em-online, ", "resumed", "compiled", "memory", "crafting, ", "training, "):
        assert part in names
    assert all(isinstance(one["measured"], float) and isinstance(one["limit"], float | int) for one in shown["checks"])
    assert answer.err.count("sepbench: ") == len(CHECKS)
