"""MLflow that half works: what it takes arrives, what it does not take waits, what it loses comes back."""

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from bench.core.disk import make_folder
from bench.record.record import Record
from bench.record.tracking import NotLogged, Tracker, Unreadable, count_waiting, outbox, records, sync
from bench.record.tracking.connection import cause, connected
from bench.store.home import Home
from tests.making.reports import artifact, children, file_name, make_record, make_report, parents, waiting

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [entry.getMessage() for entry in caplog.records if entry.name == "sepbench"]


def run_of_two_stages(uri: str, home: Path) -> None:
    tracker = Tracker(uri, Home(home))
    tracker.start("quick", {"name": "quick"}, "a plan")
    tracker.stage(make_report(1))
    tracker.stage(make_report(2))
    tracker.finish("done", {"table.md": "| a |"}, lambda: {"plots/bars.svg": "<svg/>"})


def keep(home: Path, *made: Record) -> None:
    """Write records as a run leaves them in the home."""
    for one in made:
        folder = Home(home).records(one.experiment, "plain")
        make_folder(folder)
        (folder / f"{one.key}.json").write_text(one.to_json())


def test_where_no_file_can_be_stored_numbers_arrive_and_files_wait_for_sync(
    uri: str, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (home / "mlartifacts").write_text("a file where the folder should be")
    run_of_two_stages(uri, home)
    assert [run.info.status for run in [*parents(uri), *children(uri)]] == ["FINISHED"] * 3
    assert {run.data.metrics["final/test_acc"] for run in children(uri)} == {100 / 3}
    assert len(records(uri, "quick")) == 2
    (warning,) = said(caplog)
    assert "takes numbers but no files (" in warning
    assert "sepbench sync" in warning
    assert count_waiting(home / "outbox") == 3

    still = sync(uri, Home(home))
    assert (still.sent, still.left) == (0, 3)
    assert "takes no files" in str(still.reason)

    (home / "mlartifacts").unlink()
    result = sync(uri, Home(home))
    assert (result.sent, result.left, result.reason) == (3, 0, None)
    [parent] = parents(uri)
    there = {name: artifact(parent, name) for name in ("spec.yaml", "plan.txt", "table.md", "plots/bars.svg")}
    assert there == {
        "spec.yaml": "name: quick\n",
        "plan.txt": "a plan",
        "table.md": "| a |",
        "plots/bars.svg": "<svg/>",
    }
    assert {artifact(run, "record.json") for run in children(uri)} == {
        make_record(f"{number:064x}").to_json() for number in (1, 2)
    }
    assert waiting(home) == []
    assert sync(uri, Home(home)).sent == 0


def test_files_of_a_run_that_is_deleted_stay_and_say_so_and_hold_up_no_others(uri: str, home: Path) -> None:
    (home / "mlartifacts").write_text("a file where the folder should be")
    run_of_two_stages(uri, home)
    with connected(uri) as client:
        client.delete_run(parents(uri)[0].info.run_id)
    (home / "mlartifacts").unlink()
    result = sync(uri, Home(home))
    assert (result.sent, result.left) == (2, 1)
    assert "is deleted in MLflow: restore it there, or remove that folder" in str(result.reason)
    assert waiting(home) == ["bars.svg", "plan.txt", "spec.yaml", "table.md"]


def test_a_file_that_a_live_run_adds_while_sync_sends_stays_for_the_next(
    mlflow: Any, uri: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "mlartifacts").write_text("a file where the folder should be")
    run_of_two_stages(uri, home)
    (home / "mlartifacts").unlink()
    run_id = parents(uri)[0].info.run_id
    send = mlflow.MlflowClient.log_artifact

    def send_and_be_added_to(self: Any, run: str, *arguments: Any, **more: Any) -> None:
        if run == run_id:
            outbox.put_file(home / "outbox", "quick", run_id, "plots/late.svg", b"<svg/>")
        send(self, run, *arguments, **more)

    with monkeypatch.context() as beside:
        beside.setattr(mlflow.MlflowClient, "log_artifact", send_and_be_added_to)
        sync(uri, Home(home))
    assert waiting(home) == ["late.svg"]
    assert sync(uri, Home(home)).sent == 1
    assert artifact(parents(uri)[0], "plots/late.svg") == "<svg/>"
    assert outbox.waiting_files(home / "outbox") == []
    assert not (home / "outbox" / "quick" / run_id).exists()


def test_a_file_waits_although_its_folder_was_just_removed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rivals = iter([outbox.remove_empty])

    def make_and_lose(folder: Path) -> None:
        make_folder(folder)
        for remove in rivals:
            remove(folder)

    monkeypatch.setattr(outbox, "make_folder", make_and_lose)
    outbox.put_file(home / "outbox", "quick", "run", "table.md", b"| a |")
    assert waiting(home) == ["table.md"]


@contextmanager
def answering(status: int) -> Iterator[str]:
    """Give the address of a server that refuses everything."""

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"<html>no</html>")

        do_POST = do_GET  # noqa: N815 - the name that is looked for

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Refusing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_wants_other_credentials_is_said_once_with_what_to_set(
    status: int, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with answering(status) as address:
        run_of_two_stages(address, home)
        result = sync(address, Home(home))
        with pytest.raises(Unreadable, match=f"{status}, .*MLFLOW_TRACKING_USERNAME"):
            records(address, "quick")
    (warning,) = said(caplog)
    assert f"takes no reports ({status}, " in warning
    assert "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN" in warning
    assert waiting(home) == [file_name(1), file_name(2)]
    assert (result.sent, result.left) == (0, 2)
    assert "MLFLOW_TRACKING_USERNAME" in str(result.reason)


def test_a_path_that_is_called_as_a_refusal_is_not_taken_for_one() -> None:
    missing = FileNotFoundError(2, "No such file or directory", "/home/forbidden/mlflow.db")
    assert cause(missing) == "No such file or directory: /home/forbidden/mlflow.db"
    assert cause(OSError("403 Client Error: Forbidden for url: http://host")).startswith("403, this user may not")


def test_a_database_that_stays_locked_is_said_once_and_sent_later(
    uri: str, home: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.record.tracking.moving._PATIENCE_SECONDS", 0.01)
    with closing(sqlite3.connect(home / "mlflow.db")) as other:
        other.execute("begin exclusive")
        run_of_two_stages(uri, home)
    (warning,) = said(caplog)
    assert "takes no reports (database is locked)" in warning
    assert sync(uri, Home(home)).sent == 2


def test_a_database_of_another_version_of_mlflow_is_said_with_what_to_do(
    uri: str, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(sqlite3.connect(home / "mlflow.db")) as database, database:
        (version,) = database.execute("select version_num from alembic_version").fetchone()
        database.execute("update alembic_version set version_num = 'b0a1c2'")
    run_of_two_stages(uri, home)
    (warning,) = said(caplog)
    assert "another version of MLflow made its database" in warning
    assert "mlflow db upgrade" in warning
    with closing(sqlite3.connect(home / "mlflow.db")) as database, database:
        database.execute("update alembic_version set version_num = ?", (version,))
    assert sync(uri, Home(home)).sent == 2


def test_a_deleted_experiment_is_restored_by_the_next_run_which_says_so_once(
    tracker: Tracker, uri: str, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tracker.stage(make_report(1))
    delete_experiment(uri)
    with pytest.raises(NotLogged):
        records(uri, "quick")
    run_of_two_stages(uri, home)
    (warning,) = said(caplog)
    assert "the MLflow experiment 'quick' was deleted: it is restored with its runs" in warning
    assert len(records(uri, "quick")) == 2
    assert waiting(home) == []


def delete_experiment(uri: str) -> None:
    with connected(uri) as client:
        found = client.get_experiment_by_name("quick")
        assert found is not None
        client.delete_experiment(found.experiment_id)


def test_a_deleted_run_comes_back_with_sync_and_not_by_itself(tracker: Tracker, uri: str, home: Path) -> None:
    made = [make_record(f"{number:064x}", seed=number) for number in (1, 2)]
    for number, one in enumerate(made, 1):
        tracker.stage(make_report(number, record=one))
    tracker.finish("done", {})
    keep(home, *made)
    with connected(uri) as client:
        client.delete_run(next(run.info.run_id for run in children(uri) if run.data.tags["key"] == made[0].key))
    run = Tracker(uri, Home(home))
    run.start("quick", {}, "")
    run.finish("done", {})
    assert records(uri, "quick") == made[1:]

    result = sync(uri, Home(home))
    assert (result.sent, result.again, result.left, result.reason) == (1, 1, 0, None)
    assert sorted(records(uri, "quick"), key=lambda record: record.seed) == made
    assert sync(uri, Home(home)).sent == 0


def test_what_comes_back_has_the_numbers_and_names_of_its_record(uri: str, home: Path) -> None:
    made = make_record(f"{1:064x}", train_seconds=2.5, protected_sha256="f" * 64)
    keep(home, made)
    assert sync(uri, Home(home)).again == 1
    [run] = children(uri)
    assert (run.info.status, run.info.end_time - run.info.start_time) == ("FINISHED", 2500)
    assert run.info.run_name == "victim sep linf-8 · resnet8 · plain · seed 0"
    assert run.data.metrics["final/test_acc"] == 100 / 3
    assert run.data.params["method.checkpoints"] == "3"
    assert {"method": "sep", "victim": "resnet8", "defense": "plain", "seed": "0"}.items() <= run.data.tags.items()
    assert {item.dataset.digest for item in run.inputs.dataset_inputs} == {"f" * 36, "e" * 36}


def test_a_record_whose_report_waits_is_sent_once(home: Path, uri: str, closed_port: int) -> None:
    run_of_two_stages(f"http://127.0.0.1:{closed_port}", home)
    keep(home, *(make_record(f"{number:064x}") for number in (1, 2)))
    result = sync(uri, Home(home))
    assert (result.sent, result.again) == (2, 0)
    assert len(children(uri)) == 2


def test_a_failure_that_two_processes_recorded_is_not_sent_again(tracker: Tracker, uri: str, home: Path) -> None:
    failed = make_record(f"{1:064x}", status="failed", reason="killed", test_acc=None)
    tracker.stage(make_report(1, status="failed", reason="killed", record=failed))
    keep(home, failed.model_copy(update={"started": "2027-01-02T03:04:05Z"}))
    assert sync(uri, Home(home)).sent == 0


def test_a_record_that_no_tag_and_no_file_holds_is_left_out_and_said(
    tracker: Tracker, uri: str, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    long = make_record(f"{1:064x}", overrides=tuple(f"recipe.note={'x' * 60}" for _ in range(150)))
    tracker.stage(make_report(1, record=long))
    tracker.stage(make_report(2))
    for path in (home / "mlartifacts").rglob("record.json"):
        path.unlink()
    assert records(uri, "quick") == [make_record(f"{2:064x}")]
    (warning,) = said(caplog)
    assert "is left out: its record.json is not there" in warning
    keep(home, long)
    assert sync(uri, Home(home)).sent == 0


def test_a_healthy_mlflow_is_not_spoken_of(uri: str, home: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sepbench")
    run_of_two_stages(uri, home)
    assert said(caplog) == []
