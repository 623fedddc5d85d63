"""`sync` goes on past what one experiment, record or file is refused for, and shares a home with what runs there."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from bench.core.errors import SepbenchError
from bench.record.record import Record
from bench.record.tracking import Tracker, attach, outbox, rebuilt, sending, sync
from bench.record.tracking.runs import stage_runs
from bench.store.home import Home
from bench.store.lock import acquire
from tests.making.reports import artifact, children, make_record, make_report, parents, waiting

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


def keep(home: Path, made: Record) -> None:
    folder = Home(home).records(made.experiment, "plain")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{made.key}.json").write_text(made.to_json())


def signs_of_life(home: Path) -> list[Path]:
    return list((home / "locks").glob("mlflow-*.lock"))


def test_a_sync_that_breaks_off_is_closed_once_its_process_is_gone(
    mlflow: Any, uri: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(*_: object) -> None:
        raise ConnectionError("MLflow is away")

    outbox.put(home / "outbox", "quick", make_report(1))
    with monkeypatch.context() as away:
        for name in ("get_experiment", "search_experiments", "log_inputs"):
            away.setattr(mlflow.MlflowClient, name, break_off)
        assert "MLflow is away" in str(sync(uri, Home(home)).reason)
    assert [run.info.status for run in parents(uri)] == ["RUNNING"]
    (sign,) = signs_of_life(home)
    sign.write_text(json.dumps(json.loads(sign.read_text()) | {"pid_space": "another-boot pid:[1]"}))
    os.utime(sign, (0, 0))
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("bench.core.process.pid_space", lambda: "after a reboot")
        assert sync(uri, Home(home)).sent == 1
    assert sorted(run.info.status for run in parents(uri)) == ["FINISHED", "KILLED"]
    assert signs_of_life(home) == []


def test_of_two_syncs_at_once_only_the_first_sends(uri: str, home: Path) -> None:
    outbox.put(home / "outbox", "quick", make_report(1))
    held = acquire(home / "locks", "mlflow-sync")
    assert held is not None
    with held:
        result = sync(uri, Home(home))
        assert (result.sent, result.left) == (0, 1)
        assert str(result.reason).startswith("another sepbench sync is at it (")
    assert sync(uri, Home(home)).sent == 1


def test_a_report_that_its_own_run_sends_meanwhile_is_not_sent_twice(
    tracker: Tracker, uri: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = outbox.put(home / "outbox", "quick", make_report(1))
    keep(home, make_record(f"{1:064x}"))
    known = sending._known

    def send_just_before(client: Any, experiment_id: str) -> Any:
        there = known(client, experiment_id)
        tracker.stage(make_report(1))
        return there

    with monkeypatch.context() as beside:
        beside.setattr(sending, "_known", send_just_before)
        beside.setattr(sending._Sender, "_send_waiting", lambda *_: iter(()))
        assert sync(uri, Home(home)).sent == 0
    assert not path.exists()
    assert len(children(uri)) == 1


def test_a_report_that_was_sent_since_it_was_listed_is_no_trouble(
    tracker: Tracker, uri: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox.put(home / "outbox", "quick", make_report(1))
    runs = stage_runs

    def send_just_after(client: Any, experiment_id: str) -> Any:
        before = runs(client, experiment_id)
        tracker.stage(make_report(1))
        return before

    monkeypatch.setattr("bench.record.tracking.sending.stage_runs", send_just_after)
    result = sync(uri, Home(home))
    assert (result.sent, result.left, result.already, result.reason) == (0, 0, 1, None)
    assert len(children(uri)) == 1


def test_an_experiment_that_is_forbidden_holds_up_no_other(
    mlflow: Any, uri: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = mlflow.MlflowClient.get_experiment_by_name

    def refuse_one(self: Any, name: str) -> Any:
        if name == "alpha":
            raise mlflow.exceptions.MlflowException("API request failed with error code 403 != 200")
        return look(self, name)

    monkeypatch.setattr(mlflow.MlflowClient, "get_experiment_by_name", refuse_one)
    for experiment in ("alpha", "quick"):
        outbox.put(home / "outbox", experiment, make_report(1))
    result = sync(uri, Home(home))
    assert (result.sent, result.left) == (1, 1)
    assert str(result.reason).startswith("the reports of alpha are refused: 403, this user may not")
    assert len(children(uri)) == 1


def test_a_record_that_mlflow_refuses_holds_up_no_other(uri: str, home: Path) -> None:
    keep(home, make_record(f"{1:064x}", method_params={"a name that MLflow refuses*": 1}))
    keep(home, make_record(f"{2:064x}", started="yesterday"))
    keep(home, make_record(f"{3:064x}"))
    result = sync(uri, Home(home))
    assert (result.sent, result.again) == (1, 1)
    assert f"the record {2:064x}.json of quick is refused: Invalid isoformat string" in str(result.reason)
    assert [run.data.tags["key"] for run in children(uri) if run.info.status == "FINISHED"] == [f"{3:064x}"]


def test_files_that_mlflow_refuses_of_one_experiment_hold_up_no_others(
    mlflow: Any, uri: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for experiment in ("alpha", "quick"):
        Tracker(uri, Home(home)).start(experiment, {}, "")
        [run] = parents(uri, experiment)
        outbox.put_file(home / "outbox", experiment, run.info.run_id, "table.md", b"| a |")
    send, refused = mlflow.MlflowClient.log_artifact, parents(uri, "alpha")[0].info.run_id

    def refuse_one(self: Any, run_id: str, *rest: Any) -> None:
        if run_id == refused:
            raise mlflow.exceptions.MlflowException("no")
        send(self, run_id, *rest)

    monkeypatch.setattr(mlflow.MlflowClient, "log_artifact", refuse_one)
    result = sync(uri, Home(home))
    assert (result.sent, result.left) == (1, 1)
    assert "takes no files such as those in" in str(result.reason)
    assert artifact(parents(uri)[0], "table.md") == "| a |"


def test_records_that_cannot_be_listed_are_said_and_what_waits_is_sent(
    uri: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> list[Path]:
        raise SepbenchError(f"{folder} cannot be read (Permission denied)")

    outbox.put(home / "outbox", "quick", make_report(1))
    keep(home, make_record(f"{2:064x}"))
    monkeypatch.setattr(rebuilt, "record_files", refuse)
    result = sync(uri, Home(home))
    assert (result.sent, result.left) == (1, 0)
    assert result.reason == f"{home}/records cannot be read (Permission denied)"


def test_what_is_attached_waits_where_mlflow_takes_no_files(
    uri: str, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (home / "mlartifacts").write_text("a file where the folder should be")
    attach(uri, Home(home), "quick", "diagnosis", {"d.md": "| a |"}, {"similarity-0.png": Figure()})
    [run] = parents(uri)
    assert (run.info.run_name, run.info.status) == ("diagnosis", "FINISHED")
    assert [entry.name for entry in caplog.records if "takes numbers but no files" in entry.getMessage()] == [
        "sepbench"
    ]
    assert waiting(home) == ["d.md", "similarity-0.png"]
    assert signs_of_life(home) == []
    (home / "mlartifacts").unlink()
    assert sync(uri, Home(home)).sent == 1
    with_picture = Path(run.info.artifact_uri.removeprefix("file://")) / "similarity-0.png"
    assert with_picture.read_bytes().startswith(b"\x89PNG")


def test_what_is_attached_gives_a_sign_of_life(
    mlflow: Any, uri: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(*_: object) -> None:
        raise ConnectionError("MLflow is away")

    monkeypatch.setattr(mlflow.MlflowClient, "set_terminated", break_off)
    with pytest.raises(SepbenchError, match="takes no reports"):
        attach(uri, Home(home), "quick", "diagnosis", {}, {})
    assert len(signs_of_life(home)) == 1
