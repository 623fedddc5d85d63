"""What MLflow cannot take waits in the outbox, and is sent later, once."""

import math
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from bench.record.tracking import (
    StageReport,
    Tracker,
    outbox,
    records,
    sync,
)
from bench.record.tracking.connection import connected
from bench.record.tracking.files import Files
from bench.record.tracking.runs import log_stage
from bench.store.home import Home
from tests.making.reports import STARTED, children, file_name, make_report, parents, waiting

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


def test_an_absent_server_is_warned_of_once_and_everything_waits(
    uri: str, home: Path, closed_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    tracker = Tracker(f"http://user:secret@127.0.0.1:{closed_port}", Home(home))
    tracker.start("quick", {}, "")
    for number in range(3):
        tracker.stage(make_report(number))
    tracker.finish("done", {"table.md": ""})
    assert waiting(home) == [file_name(number) for number in range(3)]
    [warning] = [entry.getMessage() for entry in caplog.records if entry.name == "sepbench"]
    assert "Connection refused" in warning
    assert "sepbench sync" in warning
    assert "secret" not in warning

    first, second = sync(uri, Home(home)), sync(uri, Home(home))
    assert (first.sent, first.left, first.already) == (3, 0, 0)
    assert (second.sent, second.left, second.already) == (0, 0, 0)
    assert [(run.info.run_name, run.info.status) for run in parents(uri)] == [("sync", "FINISHED")]
    assert len(children(uri)) == 3
    assert waiting(home) == []
    assert len(records(uri, "quick")) == 3


@pytest.mark.parametrize(
    "bad", ["./mlruns", "nonsense://somewhere", "sqlite:///{home}", "sqlite:///{home}/junk.db", "http:///"]
)
def test_an_address_mlflow_refuses_stops_nothing_and_is_not_tried_again(
    bad: str, home: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    (home / "junk.db").write_bytes(b"no database" * 100)
    tracker = Tracker(bad.format(home=home), Home(home))
    tracker.start("quick", {}, "")
    tracker.stage(make_report(1))
    tracker.finish("done", {})
    assert pauses == []
    assert waiting(home) == [file_name(1)]
    assert len([entry for entry in caplog.records if entry.name == "sepbench"]) == 1


def test_an_outbox_that_cannot_be_written_stops_nothing(uri: str, home: Path, caplog: pytest.LogCaptureFixture) -> None:
    (home / "outbox").write_text("a file where a folder should be")
    tracker = Tracker(uri, Home(home))
    assert tracker.waiting("quick") == set()
    tracker.start("quick", {}, "")
    tracker.stage(make_report(1))
    tracker.stage(make_report(2))
    assert len(children(uri)) == 2
    assert len([entry for entry in caplog.records if entry.name == "sepbench"]) == 1


def test_syncing_to_an_absent_server_keeps_everything_and_says_why(home: Path, closed_port: int) -> None:
    outbox.put(home / "outbox", "quick", make_report(1))
    result = sync(f"http://127.0.0.1:{closed_port}", Home(home))
    assert (result.sent, result.left, result.already) == (0, 1, 0)
    assert result.reason is not None
    assert "Connection refused" in result.reason
    assert waiting(home) == [file_name(1)]


def test_an_interrupt_while_mlflow_is_written_loses_nothing(
    tracker: Tracker, uri: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.record.tracking.tracker.log_stage", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tracker.stage(make_report(1))
    assert sync(uri, Home(home)).sent == 1
    assert len(records(uri, "quick")) == 1


def test_a_kill_after_mlflow_confirmed_makes_no_duplicate(tracker: Tracker, uri: str, home: Path) -> None:
    tracker.stage(make_report(1))
    outbox.put(home / "outbox", "quick", make_report(1))
    result = sync(uri, Home(home))
    assert (result.sent, result.left, result.already) == (0, 0, 1)
    assert len(children(uri)) == 1
    assert waiting(home) == []


def test_a_later_attempt_at_a_stage_is_sent_beside_the_failed_one(tracker: Tracker, uri: str, home: Path) -> None:
    tracker.stage(make_report(1, status="failed", reason="killed", record=None, started=STARTED - 60))
    outbox.put(home / "outbox", "quick", make_report(1))
    assert sync(uri, Home(home)).sent == 1
    assert sorted(run.info.status for run in children(uri)) == ["FAILED", "FINISHED"]


def test_a_half_written_run_is_replaced_by_a_whole_one(tracker: Tracker, uri: str, home: Path) -> None:
    tracker.stage(make_report(1, metrics={"a name that MLflow refuses*": 1.0}))
    assert [run.info.status for run in children(uri)] == ["KILLED"]
    assert records(uri, "quick") == []
    outbox.put(home / "outbox", "quick", make_report(1))
    assert sync(uri, Home(home)).sent == 1
    assert [run.info.status for run in children(uri)] == ["FINISHED"]


def test_a_run_that_another_process_is_writing_is_left_to_it(tracker: Tracker, uri: str, home: Path) -> None:
    report = make_report(1)
    with connected(uri) as client:
        experiment = client.get_experiment_by_name("quick")
        assert experiment is not None
        client.create_run(
            experiment.experiment_id,
            start_time=round(report.started * 1000),
            tags={"stage": report.kind, "key": report.key, "mlflow.parentRunId": "0" * 32},
        )
    path = outbox.put(home / "outbox", "quick", report)
    assert sync(uri, Home(home)).left == 1
    long_ago = time.time() - 3600
    os.utime(path, (long_ago, long_ago))
    assert sync(uri, Home(home)).sent == 1
    assert [run.info.status for run in children(uri)] == ["FINISHED"]


def test_a_report_that_cannot_be_sent_does_not_hold_up_the_others(uri: str, home: Path) -> None:
    outbox.put(home / "outbox", "quick", make_report(1, metrics={"a name that MLflow refuses*": 1.0}))
    outbox.put(home / "outbox", "quick", make_report(2)).with_name("victim-0.json").write_text("{")
    result = sync(uri, Home(home))
    assert (result.sent, result.left, result.already) == (1, 2, 0)
    assert result.reason is not None
    assert f"{file_name(1)} is refused" in result.reason


def test_a_report_that_mlflow_refuses_waits_and_all_else_is_told(tracker: Tracker, uri: str, home: Path) -> None:
    outbox.put(home / "outbox", "quick", make_report(1, metrics={"a name that MLflow refuses*": 1.0}))
    assert not tracker.forward("victim", f"{1:064x}")
    tracker.stage(make_report(2))
    assert waiting(home) == [file_name(1)]
    assert [run.data.tags["key"] for run in children(uri) if run.info.status == "FINISHED"] == [f"{2:064x}"]


def test_every_attempt_at_a_stage_is_told(tracker: Tracker, uri: str, home: Path) -> None:
    key = f"{1:064x}"
    for attempt in range(2):
        failed = make_report(1, started=STARTED + attempt, status="failed", reason="out of memory", record=None)
        outbox.put(home / "outbox", "quick", failed)
    assert tracker.waiting("quick") == {key}
    assert not tracker.forward("victim", key)
    outbox.put(home / "outbox", "quick", make_report(1, started=STARTED + 2))
    assert tracker.forward("victim", key)
    assert sorted(run.info.status for run in children(uri)) == ["FAILED", "FAILED", "FINISHED"]
    assert tracker.waiting("quick") == set()


def test_a_data_set_that_another_process_names_at_the_same_moment_is_no_trouble(
    tracker: Tracker, uri: str, home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import sqlalchemy
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    look = SqlAlchemyStore._log_inputs_impl
    rivals = iter([make_report(2)])

    def look_and_be_too_late(self: Any, experiment_id: str, *arguments: Any) -> None:
        for rival in rivals:
            with connected(uri) as client:
                log_stage(client, experiment_id, parents(uri)[0].info.run_id, rival, Files(uri, home, "quick"))
            raise sqlalchemy.exc.IntegrityError("insert", {}, sqlite3.IntegrityError("UNIQUE constraint failed"))
        look(self, experiment_id, *arguments)

    monkeypatch.setattr(SqlAlchemyStore, "_log_inputs_impl", look_and_be_too_late)
    tracker.stage(make_report(1))
    assert caplog.text == ""
    assert [(one.info.status, len(one.inputs.dataset_inputs)) for one in children(uri)] == [("FINISHED", 2)] * 2


def test_what_mlflow_has_already_is_not_told_again(tracker: Tracker, uri: str, home: Path) -> None:
    tracker.stage(make_report(1))
    outbox.put(home / "outbox", "quick", make_report(1))  # as a kill would leave it
    assert tracker.forward("victim", f"{1:064x}")
    assert waiting(home) == []
    assert len(children(uri)) == 1


def test_the_folder_of_the_last_report_stays_for_processes_that_write_to_it(home: Path) -> None:
    path = outbox.put(home / "outbox", "quick", make_report(1))
    outbox.remove(path)
    assert path.parent.is_dir()
    assert list(outbox.waiting(home / "outbox")) == []


def test_a_report_survives_its_way_through_the_outbox(home: Path) -> None:
    report = make_report(1)
    path = outbox.put(home / "outbox", "a/b: c", report)
    assert StageReport.from_json(path.read_bytes()) == report
    assert list(outbox.waiting(home / "outbox")) == [("a/b: c", [path])]
    diverged = make_report(2, curves={"train/loss": [1.0, math.nan, math.inf]})
    [_, nan, infinite] = StageReport.from_json(diverged.to_json()).curves["train/loss"]
    assert math.isnan(nan)
    assert infinite == math.inf
