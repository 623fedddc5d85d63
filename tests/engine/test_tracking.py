"""The experiment log: what reaches MLflow, what waits when MLflow is away, what comes back for the tables."""

import json
import logging
import math
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import made_records
import pytest

from bench.errors import SepbenchError
from bench.experiment_file import load_experiment
from bench.home import Home
from bench.record import Record
from bench.tables import render
from bench.tabulation import compile_table
from bench.tracking import (
    DatasetRef,
    NullTracker,
    StageReport,
    Tracker,
    default_uri,
    outbox,
    records,
    sync,
    ui_command,
)
from bench.tracking.connection import connected
from bench.tracking.runs import log_stage

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

STARTED = 1_700_000_000.25


def make_record(key: str, **changes: Any) -> Record:
    fields = {
        "experiment": "quick",
        "recipe": "cpu-small",
        "method_params": {"checkpoints": 3, "step_size": 0.1},
        "surrogate_keys": ("a" * 64, "b" * 64),
        "protected_key": "c" * 64,
        "train_sha256": "d" * 64,
        "test_sha256": "e" * 64,
        "test_acc": 100 / 3,
        "test_acc_per_class": (0.1, 99.9),
        "started": "2026-01-02T03:04:05Z",
    }
    return made_records.record(key=key, **(fields | changes))


def make_report(number: int = 1, **changes: Any) -> StageReport:
    key = f"{number:064x}"
    report = StageReport(
        kind="victim",
        key=key,
        started=STARTED,
        ended=STARTED + 2.5,
        status="done",
        params={
            "label": "victim sep linf-8 · resnet8 · plain · seed 0",
            "recipe.epochs": 3,
            "recipe.lr": 0.1,
            "recipe.flip": True,
            "limit": None,
        },
        tags={"method": "sep", "victim": "resnet8", "defense": "plain", "seed": "0"},
        metrics={"final/test_acc": 100 / 3, "cost/train_seconds": 2.0},
        curves={"train/loss": [2.5, 1.25, 0.5], "test/acc": [10.0, 20.0, 100 / 3]},
        datasets=[
            DatasetRef("digits protected", "training", "ab" * 32),
            DatasetRef("digits", "testing", "cd" * 32),
        ],
        record=make_record(key),
    )
    return replace(report, **changes)


def file_name(number: int) -> str:
    """Return what the report of that number is called in the outbox."""
    return f"victim-{number:064x}-1700000000250.json"


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with all of MLflow's tables and nothing in them: making one takes over a second."""
    home = tmp_path_factory.mktemp("template")
    with connected(f"sqlite:///{home / 'mlflow.db'}"):
        return home / "mlflow.db"


@pytest.fixture
def home(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return tmp_path


@pytest.fixture
def uri(home: Path) -> str:
    return default_uri(home)


@pytest.fixture
def tracker(uri: str, home: Path) -> Tracker:
    tracker = Tracker(uri, home / "outbox")
    tracker.start("quick", {"name": "quick", "seeds": (0, 1)}, {"victim": 2})
    return tracker


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def runs_of(uri: str, experiment: str = "quick") -> list[Any]:
    with connected(uri) as client:
        found = client.get_experiment_by_name(experiment)
        return list(client.search_runs([found.experiment_id])) if found else []


def children(uri: str, experiment: str = "quick") -> list[Any]:
    return [run for run in runs_of(uri, experiment) if "mlflow.parentRunId" in run.data.tags]


def parents(uri: str, experiment: str = "quick") -> list[Any]:
    return [run for run in runs_of(uri, experiment) if "mlflow.parentRunId" not in run.data.tags]


def waiting(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "outbox").rglob("*") if path.is_file())


def artifact(run: Any, name: str) -> str:
    return (Path(run.info.artifact_uri.removeprefix("file://")) / name).read_text(encoding="utf-8")


def test_a_run_is_one_parent_with_one_child_per_stage(tracker: Tracker, uri: str, home: Path) -> None:
    tracker.stage(make_report(1, kind="surrogate", record=None))
    tracker.stage(make_report(2, kind="craft", record=None))
    tracker.stage(make_report(3))
    tracker.finish("done", {"table.md": "| a |", "table.csv": "a\n"})

    [parent] = parents(uri)
    assert parent.info.status == "FINISHED"
    assert artifact(parent, "spec.yaml") == "name: quick\nseeds:\n- 0\n- 1\n"
    assert json.loads(artifact(parent, "plan.json")) == {"victim": 2}
    assert artifact(parent, "table.md") == "| a |"
    assert artifact(parent, "table.csv") == "a\n"
    stages = children(uri)
    assert {run.data.tags["mlflow.parentRunId"] for run in stages} == {parent.info.run_id}
    assert sorted(run.data.tags["stage"] for run in stages) == ["craft", "surrogate", "victim"]
    assert waiting(home) == []


def test_a_stage_keeps_its_times_params_tags_and_numbers(tracker: Tracker, uri: str) -> None:
    tracker.stage(make_report(1))
    [run] = children(uri)
    assert (run.info.status, run.info.start_time, run.info.end_time) == (
        "FINISHED",
        1_700_000_000_250,
        1_700_000_002_750,
    )
    assert run.data.params == {
        "label": "victim sep linf-8 · resnet8 · plain · seed 0",
        "recipe.epochs": "3",
        "recipe.lr": "0.1",
        "recipe.flip": "True",
        "limit": "None",
    }
    expected = {"stage": "victim", "key": f"{1:064x}", "status": "done", "method": "sep", "seed": "0"}
    assert expected.items() <= run.data.tags.items()
    assert run.data.metrics["final/test_acc"] == 100 / 3
    assert run.info.run_name == "victim sep linf-8 · resnet8 · plain · seed 0"


def test_a_curve_has_one_point_per_epoch_even_beyond_one_batch(tracker: Tracker, uri: str) -> None:
    loss = [1 / (epoch + 1) for epoch in range(1201)]
    loss[700] = math.nan
    tracker.stage(make_report(1, curves={"train/loss": loss, "train/acc": [1.0, 2.0]}))
    [run] = children(uri)
    with connected(uri) as client:
        points = sorted((point.step, point.value) for point in client.get_metric_history(run.info.run_id, "train/loss"))
    assert [step for step, _ in points] == list(range(1201))
    assert math.isnan(points[700][1])
    assert [value for step, value in points if step != 700] == [v for epoch, v in enumerate(loss) if epoch != 700]


def test_data_sets_carry_a_short_digest_and_the_whole_sha256(tracker: Tracker, uri: str) -> None:
    tracker.stage(make_report(1))
    [run] = children(uri)
    seen = {
        (item.dataset.name, item.dataset.digest, tags["mlflow.data.context"], tags["sha256"])
        for item in run.inputs.dataset_inputs
        for tags in [{tag.key: tag.value for tag in item.tags}]
    }
    assert seen == {
        ("digits protected", "ab" * 18, "training", "ab" * 32),
        ("digits", "cd" * 18, "testing", "cd" * 32),
    }


def test_a_failed_stage_ends_failed_with_its_reason(tracker: Tracker, uri: str) -> None:
    failed = make_record(f"{1:064x}", status="failed", reason="loss is nan", test_acc=None)
    tracker.stage(make_report(1, status="failed", reason="loss is nan", record=failed))
    tracker.finish("failed", {})
    [run] = children(uri)
    assert (run.info.status, run.data.tags["reason"]) == ("FAILED", "loss is nan")
    assert [parent.info.status for parent in parents(uri)] == ["FAILED"]
    assert records(uri, "quick") == [failed]


def test_texts_beyond_mlflows_limits_are_cut(tracker: Tracker, uri: str, home: Path) -> None:
    tracker.stage(make_report(1, params={"note": "n" * 7000}, status="failed", reason="r" * 9000, record=None))
    [run] = children(uri)
    assert run.data.params["note"] == "n" * 5999 + "…"
    assert run.data.tags["reason"] == "r" * 7999 + "…"


def test_figures_that_cannot_be_drawn_cost_a_run_nothing_else(
    tracker: Tracker, uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    def figures() -> dict[str, str]:
        raise RuntimeError("there are no fonts")

    tracker.finish("done", {"table.md": "| a |"}, figures)
    [parent] = parents(uri)
    assert parent.info.status == "FINISHED"
    assert artifact(parent, "table.md") == "| a |"
    [warning] = [entry.getMessage() for entry in caplog.records if entry.name == "sepbench"]
    assert "figures for MLflow cannot be drawn (there are no fonts)" in warning


def test_nothing_is_drawn_where_no_mlflow_takes_it(home: Path, closed_port: int) -> None:
    def figures() -> dict[str, str]:
        pytest.fail("figures were drawn")  # no Exception, which a tracker would catch

    NullTracker().finish("done", {}, figures)
    away = Tracker(f"http://127.0.0.1:{closed_port}", home / "outbox")
    away.start("quick", {}, "")
    away.finish("done", {}, figures)


def test_a_stopped_run_ends_killed(tracker: Tracker, uri: str) -> None:
    tracker.finish("stopped", {})
    assert [run.info.status for run in parents(uri)] == ["KILLED"]


def test_artifacts_lie_in_the_home_and_nothing_in_the_working_directory(
    uri: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    tracker = Tracker(uri, home / "outbox")
    tracker.start("quick", {}, "a plan")
    tracker.stage(make_report(1))
    assert [path.name for path in (home / "mlartifacts" / "quick").rglob("*.*")].count("record.json") == 1
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_mlflow_leaves_environment_and_loggers_as_they_were(
    uri: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    with connected(uri):
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"
        assert int(os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]) < 3
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ
    environment, level = dict(os.environ), logging.getLogger("mlflow").level
    tracker = Tracker(uri, home / "outbox")
    tracker.start("quick", {}, "")
    tracker.finish("done", {})
    assert dict(os.environ) == environment
    assert logging.getLogger("mlflow").level == level


def test_records_from_mlflow_are_the_written_records(tracker: Tracker, uri: str) -> None:
    written = [make_record(f"{number:064x}", seed=number) for number in range(3)]
    for number, record in enumerate(written):
        tracker.stage(make_report(number, record=record))
    tracker.stage(make_report(9, kind="craft", record=None))
    assert sorted(records(uri, "quick"), key=lambda record: record.seed) == written


def test_a_record_too_long_for_a_tag_is_read_from_its_artifact(tracker: Tracker, uri: str) -> None:
    long = make_record(f"{1:064x}", overrides=tuple(f"recipe.note={'x' * 60}" for _ in range(150)))
    tracker.stage(make_report(1, record=long))
    assert "sepbench.record" not in children(uri)[0].data.tags
    assert records(uri, "quick") == [long]


def test_the_newest_run_of_a_key_is_its_record(tracker: Tracker, uri: str) -> None:
    failed = make_record(f"{1:064x}", status="failed", reason="killed", test_acc=None)
    tracker.stage(make_report(1, started=STARTED + 60, ended=STARTED + 61))
    tracker.stage(make_report(1, status="failed", reason="killed", record=failed))
    assert [record.status for record in records(uri, "quick")] == ["done"]


def test_more_than_one_page_of_records_is_read(tracker: Tracker, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.tracking.runs._PAGE", 2)
    for number in range(5):
        tracker.stage(make_report(number))
    assert {record.key for record in records(uri, "quick")} == {f"{number:064x}" for number in range(5)}


@pytest.fixture
def careless_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave out what only a power cut would tell: waiting for the disk, thousands of times."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def relax(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("pragma synchronous = off")

    monkeypatch.setattr("os.fsync", lambda _: None)
    event.listen(Engine, "connect", relax)
    yield
    event.remove(Engine, "connect", relax)


MANY = f"""
name: quick
recipe: cpu-small
dataset: digits
budgets: [linf-8]
methods: [{{sep: {{checkpoints: [1, 2, 3, 4, 5, 6, 7]}}}}]
surrogate: resnet8
victims: [resnet8]
seeds: {list(range(143))}
"""


@pytest.mark.slow
@pytest.mark.usefixtures("careless_disk")
def test_a_thousand_records_are_sent_once_each_and_give_the_table_that_their_files_give(
    uri: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sent in three goes: interrupted in the middle, then to the end, then all of them again."""
    settings = [(checkpoints, seed) for checkpoints in range(1, 8) for seed in range(143)]
    written = [
        make_record(
            f"{number:064x}",
            method_params={"checkpoints": checkpoints},
            seed=seed,
            test_acc=80 / checkpoints + seed * 37 % 11,
        )
        for number, (checkpoints, seed) in enumerate(settings)
    ]
    reports = [make_report(number, record=record) for number, record in enumerate(written)]
    assert len(reports) == 1001  # a page of MLflow's has 1,000 runs
    for report in reports:
        outbox.put(home / "outbox", "quick", report)

    left = 500

    def log_500(*arguments: Any) -> None:
        nonlocal left
        log_stage(*arguments)
        left -= 1
        if left == 0:  # in MLflow, and still in the outbox
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("bench.tracking.sending.log_stage", log_500)
        with pytest.raises(KeyboardInterrupt):
            sync(uri, home / "outbox")
    second = sync(uri, home / "outbox")
    assert (second.sent, second.already, second.left) == (501, 1, 0)
    for report in reports:
        outbox.put(home / "outbox", "quick", report)
    third = sync(uri, home / "outbox")
    assert (third.sent, third.already, third.left) == (0, 1001, 0)

    with closing(sqlite3.connect(home / "mlflow.db")) as database:
        keys = database.execute("select value from tags where key = 'key' order by value").fetchall()
    assert keys == [(record.key,) for record in written]

    assert sorted(records(uri, "quick"), key=lambda record: record.key) == written
    (home / "quick.yaml").write_text(MANY)
    for record in written:
        (home / f"{record.key}.json").write_text(record.to_json())
    experiment = load_experiment(str(home / "quick.yaml"))
    from_mlflow = compile_table([experiment], Home(home), None, {})
    from_files = compile_table([experiment], Home(home), home, {})
    assert [cell.n for row in from_files.cells for cell in row if cell.method == "sep"] == [143] * 7
    for form in ("md", "csv", "json"):
        assert render(from_mlflow, form) == render(from_files, form)


def test_an_experiment_mlflow_does_not_know_is_said_in_one_sentence(uri: str, tmp_path: Path) -> None:
    with pytest.raises(SepbenchError, match=r"no experiment 'quikc'.*--records DIR"):
        records(uri, "quikc")
    with pytest.raises(SepbenchError, match=r"no experiment 'quick'.*--records DIR"):
        records(default_uri(tmp_path / "new"), "quick")
    assert not (tmp_path / "new").exists()


def test_a_server_that_is_away_is_said_in_one_sentence(closed_port: int) -> None:
    with pytest.raises(SepbenchError, match=r"cannot be read \(Connection refused\).*--records DIR"):
        records(f"http://127.0.0.1:{closed_port}", "quick")


def test_an_absent_server_is_warned_of_once_and_everything_waits(
    uri: str, home: Path, closed_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    tracker = Tracker(f"http://user:secret@127.0.0.1:{closed_port}", home / "outbox")
    tracker.start("quick", {}, "")
    for number in range(3):
        tracker.stage(make_report(number))
    tracker.finish("done", {"table.md": ""})
    assert waiting(home) == [file_name(number) for number in range(3)]
    [warning] = [entry.getMessage() for entry in caplog.records if entry.name == "sepbench"]
    assert "Connection refused" in warning
    assert "sepbench sync" in warning
    assert "secret" not in warning

    first, second = sync(uri, home / "outbox"), sync(uri, home / "outbox")
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
    tracker = Tracker(bad.format(home=home), home / "outbox")
    tracker.start("quick", {}, "")
    tracker.stage(make_report(1))
    tracker.finish("done", {})
    assert pauses == []
    assert waiting(home) == [file_name(1)]
    assert len([entry for entry in caplog.records if entry.name == "sepbench"]) == 1


def test_an_outbox_that_cannot_be_written_stops_nothing(uri: str, home: Path, caplog: pytest.LogCaptureFixture) -> None:
    (home / "outbox").write_text("a file where a folder should be")
    tracker = Tracker(uri, home / "outbox")
    assert tracker.waiting("quick") == set()
    tracker.start("quick", {}, "")
    tracker.stage(make_report(1))
    tracker.stage(make_report(2))
    assert len(children(uri)) == 2
    assert len([entry for entry in caplog.records if entry.name == "sepbench"]) == 1


def test_syncing_to_an_absent_server_keeps_everything_and_says_why(home: Path, closed_port: int) -> None:
    outbox.put(home / "outbox", "quick", make_report(1))
    result = sync(f"http://127.0.0.1:{closed_port}", home / "outbox")
    assert (result.sent, result.left, result.already) == (0, 1, 0)
    assert result.reason is not None
    assert "Connection refused" in result.reason
    assert waiting(home) == [file_name(1)]


def test_an_interrupt_while_mlflow_is_written_loses_nothing(
    tracker: Tracker, uri: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.tracking.tracker.log_stage", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tracker.stage(make_report(1))
    assert sync(uri, home / "outbox").sent == 1
    assert len(records(uri, "quick")) == 1


def test_a_kill_after_mlflow_confirmed_makes_no_duplicate(tracker: Tracker, uri: str, home: Path) -> None:
    tracker.stage(make_report(1))
    outbox.put(home / "outbox", "quick", make_report(1))
    result = sync(uri, home / "outbox")
    assert (result.sent, result.left, result.already) == (0, 0, 1)
    assert len(children(uri)) == 1
    assert waiting(home) == []


def test_a_later_attempt_at_a_stage_is_sent_beside_the_failed_one(tracker: Tracker, uri: str, home: Path) -> None:
    tracker.stage(make_report(1, status="failed", reason="killed", record=None, started=STARTED - 60))
    outbox.put(home / "outbox", "quick", make_report(1))
    assert sync(uri, home / "outbox").sent == 1
    assert sorted(run.info.status for run in children(uri)) == ["FAILED", "FINISHED"]


def test_a_half_written_run_is_replaced_by_a_whole_one(tracker: Tracker, uri: str, home: Path) -> None:
    tracker.stage(make_report(1, metrics={"a name that MLflow refuses*": 1.0}))
    assert [run.info.status for run in children(uri)] == ["KILLED"]
    assert records(uri, "quick") == []
    outbox.put(home / "outbox", "quick", make_report(1))
    assert sync(uri, home / "outbox").sent == 1
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
    assert sync(uri, home / "outbox").left == 1
    long_ago = time.time() - 3600
    os.utime(path, (long_ago, long_ago))
    assert sync(uri, home / "outbox").sent == 1
    assert [run.info.status for run in children(uri)] == ["FINISHED"]


def test_a_report_that_cannot_be_sent_does_not_hold_up_the_others(uri: str, home: Path) -> None:
    outbox.put(home / "outbox", "quick", make_report(1, metrics={"a name that MLflow refuses*": 1.0}))
    outbox.put(home / "outbox", "quick", make_report(2)).with_name("victim-0.json").write_text("{")
    result = sync(uri, home / "outbox")
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
                log_stage(client, experiment_id, parents(uri)[0].info.run_id, rival)
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


KILLED_RUN = """
import os, signal, sys
from pathlib import Path
from bench.tracking import Tracker, default_uri
home = Path(sys.argv[1])
Tracker(default_uri(home), home / "outbox").start("quick", {}, "")
os.kill(os.getpid(), signal.SIGKILL)
"""


def python(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"},
        cwd=Path(__file__).parents[2],
    )


def test_a_killed_run_is_closed_by_the_next_and_a_live_one_left_alone(tracker: Tracker, uri: str, home: Path) -> None:
    process = python("-c", KILLED_RUN, str(home))
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert [run.info.status for run in parents(uri)] == ["RUNNING", "RUNNING"]

    Tracker(uri, home / "outbox").start("quick", {}, "")
    dead = {run.data.tags["sepbench.pid"]: run.info.status for run in parents(uri)}
    assert dead == {str(process.pid): "KILLED", str(os.getpid()): "RUNNING"}


def test_a_process_id_in_use_again_does_not_keep_a_dead_run_open(tracker: Tracker, uri: str, home: Path) -> None:
    [run] = parents(uri)
    with connected(uri) as client:
        client.set_tag(run.info.run_id, "sepbench.process_started", "1")
    sync(uri, home / "outbox")
    Tracker(uri, home / "outbox").start("quick", {}, "")
    assert sorted(run.info.status for run in parents(uri)) == ["KILLED", "RUNNING"]


def test_a_run_on_another_host_is_left_alone(tracker: Tracker, uri: str, home: Path) -> None:
    [run] = parents(uri)
    with connected(uri) as client:
        client.set_tag(run.info.run_id, "sepbench.host", "another")
        client.set_tag(run.info.run_id, "sepbench.process_started", "1")
    Tracker(uri, home / "outbox").start("quick", {}, "")
    assert [run.info.status for run in parents(uri)] == ["RUNNING", "RUNNING"]


@pytest.mark.slow
def test_two_first_runs_at_once_share_one_new_database_without_a_word(tmp_path: Path) -> None:
    processes = [python("-c", KILLED_RUN, str(tmp_path)) for _ in range(2)]
    assert [process.communicate()[0] for process in processes] == ["", ""]
    assert len(parents(default_uri(tmp_path))) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlartifacts", "mlflow.db"]


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


@pytest.fixture
def server(tmp_path: Path, empty_database: Path) -> Iterator[str]:
    shutil.copy(empty_database, tmp_path / "server.db")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = f"mlflow server --host 127.0.0.1 --port {port} --workers 1".split()
    command += ["--backend-store-uri", f"sqlite:///{tmp_path / 'server.db'}"]
    command += ["--artifacts-destination", str(tmp_path / "server-artifacts")]
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd=tmp_path,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        while not answers(f"{address}/health"):
            assert process.poll() is None, "the server ended"
            time.sleep(0.1)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.slow
def test_a_tracking_server_takes_a_run_and_gives_its_records_back(
    server: str, home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "120")
    tracker = Tracker(server, home / "outbox")
    tracker.start("quick", {"name": "quick"}, "a plan")
    tracker.stage(make_report(1))
    tracker.stage(make_report(2, curves={"train/loss": [1.0, math.nan]}, record=None, kind="craft"))
    tracker.finish("done", {"table.md": "| a |"})
    assert waiting(home) == []
    assert records(server, "quick") == [make_record(f"{1:064x}")]
    [parent] = parents(server)
    with connected(server) as client:
        names = [item.path for item in client.list_artifacts(parent.info.run_id)]
    assert (parent.info.status, names) == ("FINISHED", ["plan.txt", "spec.yaml", "table.md"])
    assert "".join(capfd.readouterr()) == ""


def test_importing_the_tracker_loads_neither_mlflow_nor_torch() -> None:
    process = python("-c", "import sys, bench.tracking; print({'mlflow', 'sqlalchemy', 'torch'} & sys.modules.keys())")
    assert process.communicate()[0].strip() == "set()"


def test_the_null_tracker_takes_the_same_calls_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tracker = NullTracker()
    tracker.start("quick", {}, "", {})
    tracker.stage(make_report(1))
    tracker.finish("done", {"table.md": ""})
    assert list(tmp_path.iterdir()) == []


def test_the_default_is_a_database_in_the_home_unless_the_environment_names_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    monkeypatch.chdir(tmp_path)
    assert default_uri(Path("home")) == f"sqlite:///{tmp_path}/home/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    assert default_uri(Path("home")) == "http://localhost:5000"


def test_the_page_is_opened_by_the_shortest_command_that_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    uri = f"sqlite:///{tmp_path}/home/mlflow.db"
    assert ui_command(uri) == "mlflow ui --backend-store-uri sqlite:///home/mlflow.db --port 5000"
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    assert ui_command(uri) == f"mlflow ui --backend-store-uri {uri} --port 5000"
    assert ui_command("https://me:pw@host:5000") == "python -m webbrowser https://host:5000"
    assert "pw" not in ui_command("postgresql://me:pw@host/mlflow")


def test_the_command_works_where_the_environment_is_not_active(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = Path(sys.executable).parent
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)  # the environment may lie in the folder that the tests are run from
    assert ui_command("sqlite:////elsewhere/mlflow.db").startswith(f"{environment}/mlflow ui ")
    assert ui_command("https://host:5000") == f"{environment}/python -m webbrowser https://host:5000"
    monkeypatch.chdir(environment.parent)
    assert ui_command("sqlite:////elsewhere/mlflow.db").startswith(f"{environment.name}/mlflow ui ")
