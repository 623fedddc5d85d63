"""`--compile`: networks train with torch.compile, records say so, and without a compiler the run goes on."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.engine import compiling
from tests.making.asking import Finished, ask, done, refusal, write
from tests.making.experiments import TINY

pytestmark = [pytest.mark.usefixtures("own_place", "loops_in_forks"), pytest.mark.slow]


@pytest.fixture
def without_code_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile with what needs no C++ compiler and next to no time."""
    monkeypatch.setattr(compiling, "BACKEND", "aot_eager")


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("records/tiny/*.json"))]


@pytest.mark.usefixtures("without_code_generator")
def test_records_say_that_their_victim_was_compiled_under_the_same_key(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEPBENCH_HOME", str(tmp_path / "home"))
    done("run", write(TINY), "--compile", "--only", "method=sep", "--no-mlflow", "--results", tmp_path / "results")
    compiled, eager = records(tmp_path / "results"), records(finished.results)
    assert [one["compiled"] for one in compiled] == [True]
    assert not [one for one in eager if "compiled" in one]
    assert [one["key"] for one in compiled] == [one["key"] for one in eager if one["method"] == "sep"]


@pytest.mark.usefixtures("without_code_generator")
def test_what_is_finished_is_not_compiled_anew(finished: Finished) -> None:
    assert ask("run", "tiny.yaml", "--compile", "--no-mlflow").err == ""


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_it_works_with_the_real_compiler(tmp_path: Path) -> None:
    ran = ask(
        "run", write(TINY), "--compile", "--only", "method=none", "--no-mlflow", "--results", tmp_path / "results"
    )
    assert ran.code == 0
    assert "torch.compile" not in ran.err
    assert [one["compiled"] for one in records(tmp_path / "results")] == [True]


def test_without_a_compiler_the_run_goes_on_and_says_so(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> None:
        raise OSError("no compiler found")

    monkeypatch.setattr(compiling, "BACKEND", broken)
    monkeypatch.setenv("SEPBENCH_HOME", str(tmp_path / "home"))
    ran = ask("run", write(TINY), "--compile", "--no-mlflow", "--results", tmp_path / "results")
    assert ran.code == 0
    assert (
        "sepbench: torch.compile failed (OSError: no compiler found): networks run uncompiled, which is slower\n"
    ) in ran.err
    measured = [
        [(one["key"], one["test_acc"], one.get("compiled")) for one in records(folder)]
        for folder in (tmp_path / "results", finished.results)
    ]
    assert measured[0] == measured[1]


@pytest.mark.usefixtures("without_code_generator")
def test_perf_measures_the_compiled_loop_beside_the_eager_one() -> None:
    small = ("--network", "resnet8", "--size", "16", "--batch", "8", "--images", "20")
    shown = json.loads(done("perf", "train", *small, "--compile"))
    assert [(row["precision"], row["compiled"]) for row in shown["rows"]] == [
        ("fp32", False),
        ("fp32", True),
        ("bf16", False),
        ("bf16", True),
    ]
    assert [row["compile_seconds"] > 0 for row in shown["rows"]] == [False, True, False, True]
    assert all(row["images_per_second"] > 0 and len(row["ratios"]) == 3 for row in shown["rows"])


def test_perf_refuses_to_measure_what_does_not_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> None:
        raise OSError("no compiler found")

    monkeypatch.setattr(compiling, "BACKEND", broken)
    small = ("--network", "resnet8", "--size", "16", "--batch", "8", "--images", "20")
    ran = ask("perf", "train", *small, "--compile", "--precision", "fp32")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines()[-1] == "sepbench: torch.compile does not work here: leave --compile out"


def test_perf_of_crafting_has_no_such_choice() -> None:
    assert refusal("perf", "craft", "--compile") == "no such option '--compile': see sepbench perf craft --help"
