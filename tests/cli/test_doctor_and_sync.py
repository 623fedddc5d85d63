"""`doctor` says what is missing, `sync` sends what MLflow could not take."""

import errno
import os
import time
from pathlib import Path

import pytest
import torch

from bench.record.tracking import StageReport
from bench.record.tracking.outbox import put
from tests.making.asking import Finished, ask, done

pytestmark = pytest.mark.usefixtures("own_place")


@pytest.fixture
def report() -> StageReport:
    return StageReport(kind="craft", key="ab" * 32, started=time.time() - 1, ended=time.time(), status="done")


@pytest.mark.usefixtures("mlflow")
def test_a_machine_where_all_is_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPBENCH_DATA", str(tmp_path))
    lines = done("doctor").splitlines()
    assert {line[0] for line in lines} <= {"✓", "·"}
    assert any(line.startswith("✓ sepbench ") for line in lines)
    assert any(line.startswith("✓ torch ") for line in lines)
    assert any(line.startswith(f"✓ home {tmp_path}/home (SEPBENCH_HOME): ") for line in lines)
    assert f"✓ MLflow: sqlite:///{tmp_path}/home/mlflow.db" in lines
    assert f"✓ SEPBENCH_DATA {tmp_path}" in lines


def test_data_that_was_never_asked_for_is_no_trouble() -> None:
    assert "· SEPBENCH_DATA is not set: experiments on real images read their files from there" in done("doctor")


def test_a_home_that_cannot_be_written_to_is_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("SEPBENCH_HOME", str(tmp_path / "file"))
    answer = ask("doctor")
    assert answer.code == 1
    assert answer.err == ""
    (line,) = [line for line in answer.out.splitlines() if line.startswith("✗")]
    assert line.startswith(f"✗ cannot write to {tmp_path}/file (")
    assert line.endswith("move it, or set SEPBENCH_HOME to another folder")


def test_what_cannot_even_be_looked_at_is_trouble_and_the_rest_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> int:
        raise ImportError("libcudart.so.12: cannot open shared object file")

    monkeypatch.setattr(torch, "get_num_threads", broken)
    answer = ask("doctor")
    assert answer.code == 1
    (line,) = [line for line in answer.out.splitlines() if line.startswith("✗")]
    assert line == (
        "✗ this could not be looked at further (ImportError: libcudart.so.12: cannot open shared object file): repair "
        "what it names"
    )
    assert "✓ home " in answer.out


def test_a_full_disk_is_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    answer = ask("doctor")
    assert answer.code == 1
    assert f"✗ cannot write to {tmp_path}/home (No space left on device): free some space" in answer.out
    assert not [path for path in (tmp_path / "home").glob(".*") if path.is_file()]


def test_a_data_folder_that_is_not_there_is_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPBENCH_DATA", str(tmp_path / "gone"))
    answer = ask("doctor")
    assert answer.code == 1
    assert f"✗ SEPBENCH_DATA is {tmp_path}/gone, which is no folder" in answer.out.splitlines()


@pytest.mark.usefixtures("mlflow")
def test_waiting_reports_are_mentioned_and_then_sent_once(finished: Finished, report: StageReport) -> None:
    put(finished.home / "outbox", "sent later", report)
    assert "· 1 report waits for MLflow: sepbench sync sends what waits" in done("doctor")
    assert done("sync") == "1 sent, 0 were there already, 0 left\n"
    assert done("sync") == "0 sent, 0 were there already, 0 left\n"
    put(finished.home / "outbox", "sent later", report)
    assert done("sync") == "0 sent, 1 were there already, 0 left\n"
    assert "for MLflow: sepbench sync" not in done("doctor")


def test_reports_that_cannot_be_sent_stay_and_say_why(
    report: StageReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/file/mlflow.db")
    path = put(tmp_path / "home" / "outbox", "sent later", report)
    answer = ask("sync")
    assert (answer.code, answer.out) == (1, "0 sent, 0 were there already, 1 left\n")
    assert answer.err.startswith(f"sepbench: MLflow at sqlite:///{tmp_path}/file/mlflow.db takes no reports: ")
    assert answer.err.endswith(": what is left waits for the next sepbench sync\n")
    assert answer.err.count("\n") == 1
    assert path.exists()
