"""The same command again, after it finished."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.making.whole_runs import Sepbench, Undisturbed

pytestmark = pytest.mark.slow


def test_the_same_command_again_does_no_stage_and_prints_the_same_table(
    undisturbed: Undisturbed, after_a_run: Sepbench
) -> None:
    artifacts, logs = after_a_run.files(), {path: path.read_bytes() for path in after_a_run.home.glob("mlflow.db")}
    records = {path: path.stat().st_mtime_ns for path in (after_a_run.home / "records").rglob("*.json")}
    again = after_a_run.call("run", after_a_run.experiment())
    assert again.code == 0
    assert again.events == []  # no stage, and no data set decoded
    assert again.table == undisturbed.table
    assert after_a_run.files() == artifacts
    assert {path: path.stat().st_mtime_ns for path in (after_a_run.home / "records").rglob("*.json")} == records
    assert {path: path.read_bytes() for path in after_a_run.home.glob("mlflow.db")} == logs
    assert not (after_a_run.home / "outbox").exists() or not any((after_a_run.home / "outbox").rglob("*.json"))


def test_the_same_command_again_does_not_even_import_mlflow(undisturbed: Undisturbed, after_a_run: Sepbench) -> None:
    again = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "bench", "run", after_a_run.experiment()],
        env={**os.environ, "SEPBENCH_HOME": str(after_a_run.home), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert again.stdout.partition("MLflow:")[0].strip() == undisturbed.table
    imported = {line.rpartition("|")[2].strip() for line in again.stderr.splitlines() if "|" in line}
    assert "bench.record.tracking.tracker" in imported
    assert not [name for name in imported if name.partition(".")[0] == "mlflow"]


def test_a_seed_added_later_runs_its_own_victims_and_nothing_else(after_a_run: Sepbench) -> None:
    earlier, artifacts = after_a_run.outcomes(), after_a_run.files()
    more = after_a_run.run(seeds=[0, 1])
    assert more.code == 0
    assert sorted(more.ran) == [
        "victim none · resnet8 · plain · seed 1",
        "victim random-noise linf-32 · resnet8 · plain · seed 1",
        "victim sep linf-32 · resnet8 · plain · seed 1",
    ]
    assert artifacts.items() <= after_a_run.files().items()
    assert earlier.items() <= after_a_run.outcomes().items()


def test_only_the_forced_stages_and_what_is_made_from_them_run_again(
    undisturbed: Undisturbed, after_a_run: Sepbench
) -> None:
    again = after_a_run.run("--force", "surrogate")
    assert again.code == 0
    assert again.ran == [
        "surrogate resnet8 · seed 0",
        "craft sep linf-32",
        "victim sep linf-32 · resnet8 · plain · seed 0",
    ]
    assert again.table == undisturbed.table
    assert after_a_run.outcomes() == undisturbed.outcomes


def test_results_go_where_they_are_asked_for(undisturbed: Undisturbed, after_a_run: Sepbench, tmp_path: Path) -> None:
    results = tmp_path / "results"
    assert after_a_run.run("--results", str(results)).code == 0
    assert {path.stem for path in (results / "records" / "tiny").iterdir()} == set(undisturbed.outcomes)
    assert (results / "tables" / "tiny.md").read_text().strip() == undisturbed.table
