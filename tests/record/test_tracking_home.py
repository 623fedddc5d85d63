"""The home is one folder: wherever it lies, MLflow works there and everything stays in it."""

import fcntl
import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from bench.record.tracking import Tracker, default_uri, outbox, records, sync, ui_command
from bench.record.tracking.connection import connected
from bench.store.home import Home
from tests.making.reports import artifact, children, make_record, make_report, parents, runs_of

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


def log(home: Path, number: int, experiment: str = "quick") -> None:
    tracker = Tracker(default_uri(home), Home(home))
    tracker.start(experiment, {}, "a plan")
    tracker.stage(make_report(number))
    tracker.finish("done", {"table.md": f"table {number}"})


def tables(home: Path) -> list[str]:
    """Return the tables of all parent runs, as MLflow finds them."""
    return sorted(artifact(run, "table.md") for run in parents(default_uri(home)))


@pytest.fixture
def old(tmp_path: Path, empty_database: Path) -> Path:
    """A home in which a run was logged."""
    (tmp_path / "old").mkdir()
    shutil.copy(empty_database, tmp_path / "old")
    log(tmp_path / "old", 1)
    return tmp_path / "old"


def test_a_moved_home_has_old_and_new_artifacts_where_it_is_now(old: Path, tmp_path: Path) -> None:
    new = tmp_path / "new disk" / "home"
    new.parent.mkdir()
    old.rename(new)
    log(new, 2)
    assert tables(new) == ["table 1", "table 2"]
    assert all(new.as_uri() in run.info.artifact_uri for run in runs_of(default_uri(new)))
    assert not old.exists()


def test_a_home_can_be_moved_again(old: Path, tmp_path: Path) -> None:
    for number, name in enumerate(("b", "c"), 2):
        old = old.rename(tmp_path / name)
        log(old, number)
    assert tables(old) == ["table 1", "table 2", "table 3"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c"]


def test_an_experiment_may_be_called_as_the_folder_of_all_artifacts(old: Path, tmp_path: Path) -> None:
    log(old, 2, "mlartifacts")
    new = old.rename(tmp_path / "new")
    log(new, 3, "mlartifacts")
    there = [artifact(run, "table.md") for run in parents(default_uri(new), "mlartifacts")]
    assert sorted(there) == ["table 2", "table 3"]


def test_a_copied_home_leaves_the_original_alone(old: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(old, copy)
    before = sorted((path, path.stat().st_mtime_ns) for path in old.rglob("*"))
    log(copy, 2)
    assert sorted((path, path.stat().st_mtime_ns) for path in old.rglob("*")) == before
    assert tables(copy) == ["table 1", "table 2"]
    assert tables(old) == ["table 1"]


def test_a_moved_home_is_synced_where_the_old_place_cannot_be_made(old: Path, tmp_path: Path) -> None:
    new = old.rename(tmp_path / "new")
    old.write_text("a file where the home was")
    outbox.put(new / "outbox", "quick", make_report(2))
    result = sync(default_uri(new), Home(new))
    assert (result.sent, result.left, result.reason) == (1, 0, None)


def test_artifacts_that_lie_at_the_old_place_alone_are_still_found(old: Path, tmp_path: Path) -> None:
    shutil.copytree(old, tmp_path / "new", ignore=shutil.ignore_patterns("mlartifacts"))
    log(tmp_path / "new", 2)
    assert tables(tmp_path / "new") == ["table 1", "table 2"]


def test_a_long_record_is_read_from_a_moved_home_that_is_read_only(old: Path, tmp_path: Path) -> None:
    long = make_record(f"{2:064x}", overrides=tuple(f"recipe.note={'x' * 60}" for _ in range(150)))
    tracker = Tracker(default_uri(old), Home(old))
    tracker.start("quick", {}, "a plan")
    tracker.stage(make_report(2, record=long))
    new = old.rename(tmp_path / "new")
    assert long in records(default_uri(new), "quick")


def test_a_database_that_the_person_names_keeps_its_addresses(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = old.rename(tmp_path / "new")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{new}/mlflow.db")
    log(tmp_path / "home", 2)
    assert {old.as_uri() in run.info.artifact_uri for run in runs_of(default_uri(new))} == {True}


@pytest.mark.parametrize("name", ["a%2Fb", "a?b#c", 'it\'s "ü"; me:pw@host a', "l" * 200])
def test_a_home_may_lie_on_any_path(
    name: str, tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    home = tmp_path / name
    home.mkdir()
    shutil.copy(empty_database, home)
    log(home, 1)
    assert records(default_uri(home), "quick") == [make_record(f"{1:064x}")]
    assert tables(home) == ["table 1"]
    assert (home / "mlflow.db").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["elsewhere", name])
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.usefixtures("mlflow")
def test_a_path_that_sqlite_refuses_is_said_once_and_everything_waits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log(tmp_path / ("l" * 200) / ("l" * 200) / ("l" * 200), 1)
    (warning,) = [entry.getMessage() for entry in caplog.records if entry.name == "sepbench"]
    assert "check the folder, and that the path has fewer than 500 characters" in warning


@pytest.mark.usefixtures("mlflow")
def test_the_page_is_opened_by_an_address_that_leads_to_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    log(tmp_path / "a?b%2F", 1)
    address = ui_command(default_uri(tmp_path / "a?b%2F")).split()[3].strip("'")
    assert len(children(address)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a?b%2F"]


def left_behind(home: Path) -> list[str]:
    return sorted(path.name for path in home.iterdir() if ".tmp" in path.name)


def test_what_a_killed_start_left_of_its_database_goes(old: Path) -> None:
    (old / "mlflow.db.4x_y.tmp").mkdir()
    (old / "mlflow.db.4x_y.tmp" / "lock").touch()
    (old / "mlflow.db.4x_y.tmp" / "mlflow.db-journal").touch()
    long_ago = time.time() - 3600
    for name in ("mlflow.db.71.tmp", "mlflow.db.71.tmp-journal", "mlflow.db.71.tmp-wal"):  # of earlier versions
        (old / name).touch()
        os.utime(old / name, (long_ago, long_ago))
    (old / "mlflow.db.backup.tmp.gz").touch()
    with connected(default_uri(old)):
        assert left_behind(old) == ["mlflow.db.backup.tmp.gz"]


def test_copies_that_a_person_made_of_the_database_stay(old: Path) -> None:
    (old / "mlflow.db.backup.tmp").touch()
    (old / "mlflow.db.copies.tmp").mkdir()
    (old / "mlflow.db.copies.tmp" / "mlflow.db").touch()
    (old / "mlflow.db.7.tmp").mkdir()
    for path in old.iterdir():
        os.utime(path, (0, 0))
    with connected(default_uri(old)):
        assert left_behind(old) == ["mlflow.db.7.tmp", "mlflow.db.backup.tmp", "mlflow.db.copies.tmp"]


def test_the_database_that_a_live_process_is_making_is_left_to_it(old: Path) -> None:
    (old / "mlflow.db.4x_y.tmp").mkdir()
    (old / "mlflow.db.just_begun.tmp").mkdir()
    with (old / "mlflow.db.4x_y.tmp" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with connected(default_uri(old)):
            assert left_behind(old) == ["mlflow.db.4x_y.tmp", "mlflow.db.just_begun.tmp"]


@pytest.mark.usefixtures("mlflow")
def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").touch()
    log(tmp_path, 1)
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        assert database.execute("select count(*) from runs").fetchall() == [(2,)]
