"""`table` shows the runs there are, whether MLflow has them or not, and `sync` sends MLflow what it lacks."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bench.record.record import read_record
from bench.record.tracking import default_uri, outbox
from bench.record.tracking.connection import connected
from tests.making.asking import Finished, ask, done, refusal
from tests.making.reports import children, make_report

pytestmark = [
    pytest.mark.usefixtures("mlflow", "own_place"),
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
]


@pytest.fixture
def home(finished_copy: Finished) -> Path:
    """A home of the test's own in which the tiny experiment has run."""
    return finished_copy.home


def delete_experiment(home: Path) -> None:
    with connected(default_uri(home)) as client:
        found = client.get_experiment_by_name("tiny")
        assert found is not None
        client.delete_experiment(found.experiment_id)


def purge_experiment(home: Path) -> None:
    """Delete as `mlflow gc` does: nothing is left."""
    (home / "mlflow.db").unlink()
    shutil.rmtree(home / "mlartifacts")


def delete_a_victim(home: Path) -> None:
    with connected(default_uri(home)) as client:
        victims = (run for run in children(default_uri(home), "tiny") if run.data.tags["stage"] == "victim")
        client.delete_run(next(victims).info.run_id)


def break_database(home: Path) -> None:
    (home / "mlflow.db").write_bytes(b"no database" * 1000)


@pytest.mark.parametrize(
    ("lose", "lost"),
    [(delete_experiment, 3), (purge_experiment, 3), (delete_a_victim, 1)],
    ids=["experiment", "experiment for good", "victim"],
)
def test_what_is_deleted_in_mlflow_stays_in_the_table_and_comes_back_with_sync(
    lose: Callable[[Path], None], lost: int, home: Path
) -> None:
    before = done("table", "tiny.yaml", "--records", home / "records")
    lose(home)
    answer = ask("table", "tiny.yaml")
    assert (answer.code, answer.out) == (0, before)
    counted = "1 record" if lost == 1 else f"{lost} records"
    assert answer.err == (
        f"sepbench: MLflow lacks {counted} of tiny, read from {home}/records/tiny/default: "
        f"sepbench sync sends what it lacks\n"
    )
    done("sync")
    answer = ask("table", "tiny.yaml")
    assert (answer.code, answer.out, answer.err) == (0, before, "")
    assert done("sync") == "0 sent, 0 were there already, 0 left\n"


def test_sync_says_what_came_from_the_home(home: Path) -> None:
    delete_a_victim(home)
    assert done("sync").splitlines() == [
        "1 sent, 0 were there already, 0 left",
        f"1 of those sent stood in the records of {home} and not in MLflow",
    ]
    restored = [run for run in children(default_uri(home), "tiny") if run.data.tags["stage"] == "victim"]
    with connected(default_uri(home)) as client:
        curves = [len(client.get_metric_history(run.info.run_id, "test/acc")) for run in restored]
    assert curves == [2, 2, 2]


def test_a_failure_that_mlflow_has_of_another_process_is_not_missed(home: Path) -> None:
    path = next((home / "records" / "tiny" / "default").glob("*.json"))
    failed = read_record(path).model_copy(update={"status": "failed", "reason": "killed", "test_acc": None})
    path.write_text(failed.to_json())
    with connected(default_uri(home)) as client:
        for run in children(default_uri(home), "tiny"):
            if run.data.tags["key"] == failed.key:
                client.delete_run(run.info.run_id)
    earlier = failed.model_copy(update={"started": "2020-01-02T03:04:05Z"})
    outbox.put(home / "outbox", "tiny", make_report(key=failed.key, status="failed", reason="killed", record=earlier))
    assert done("sync") == "1 sent, 0 were there already, 0 left\n"
    assert done("sync") == "0 sent, 0 were there already, 0 left\n"
    assert "lacks" not in ask("table", "tiny.yaml").err


def test_a_run_reports_to_an_experiment_that_was_deleted_and_says_so(home: Path) -> None:
    delete_experiment(home)
    answer = ask("run", "tiny.yaml", "--set", "seeds=[0,1]", "--only", "method=none")
    assert answer.code == 0
    assert answer.err.count("the MLflow experiment 'tiny' was deleted: it is restored with its runs") == 1


def test_a_table_is_made_where_mlflows_database_is_broken_and_sync_fills_a_new_one(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = done("table", "tiny.yaml", "--records", home / "records")
    break_database(home)
    answer = ask("table", "tiny.yaml")
    assert (answer.code, answer.out) == (0, before)
    assert answer.err == (
        f"sepbench: MLflow at sqlite:///{home}/mlflow.db cannot be read (its database is damaged: move that file away, "
        f"and sepbench sync fills a new one): read instead were 3 records of tiny in {home}/records/tiny/default\n"
    )
    answer = ask("sync")
    assert (answer.code, answer.out) == (1, "0 sent, 0 were there already, 0 left\n")
    assert "takes no reports: its database is damaged" in answer.err
    (home / "mlflow.db").unlink()
    home.rename(tmp_path / "again")  # as in a new process: MLflow would go on with the file that it has open
    monkeypatch.setenv("SEPBENCH_HOME", str(tmp_path / "again"))
    assert done("sync").startswith("3 sent, ")
    assert ask("table", "tiny.yaml").err == ""


def test_a_table_of_another_variant_does_not_say_that_nothing_was_run(home: Path) -> None:
    delete_experiment(home)
    sentence = refusal("table", "tiny.yaml", "--set", "seeds=[7]")
    assert "no records of tiny as asked for" in sentence
    assert sentence.endswith("there are those of no changes (3): ask for one of these, or run it so")


def test_a_broken_record_in_the_home_is_named_where_mlflow_lacks_it(home: Path) -> None:
    before = done("table", "tiny.yaml")
    for path in (home / "records").rglob("*.json"):
        path.write_text("{")
    assert ask("table", "tiny.yaml").out == before
    with closing(sqlite3.connect(home / "mlflow.db")) as database, database:
        database.execute("update runs set lifecycle_stage = 'deleted'")
    answer = ask("table", "tiny.yaml")
    assert answer.code == 2
    assert answer.err.count("is not a valid record") == 3


def test_a_new_server_gets_all_that_is_finished(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {run.info.run_name for run in children(default_uri(home), "tiny")}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/new.db")
    assert done("sync", "--all") == (
        f"7 sent, 0 were there already, 0 left\n7 of those sent stood in the records of {home} and not in MLflow\n"
    )
    sent = children(f"sqlite:///{tmp_path}/new.db", "tiny")
    assert {run.info.run_name for run in sent} == before
    assert sorted(run.data.tags["stage"] for run in sent) == [*["craft"] * 3, "surrogate", *["victim"] * 3]
    (crafted,) = (run for run in sent if run.info.run_name == "craft sep linf-32")
    assert crafted.data.metrics["cost/passes"] == 4
    assert crafted.data.metrics["audit/linf_levels"] == 32
    assert done("sync", "--all") == "0 sent, 0 were there already, 0 left\n"


def test_runs_with_changes_are_told_apart_by_their_names(home: Path) -> None:
    done("run", "tiny.yaml", "--set", "seeds=[7]", "--only", "method=random-noise")
    with connected(default_uri(home)) as client:
        found = client.get_experiment_by_name("tiny")
        assert found is not None
        parents = [one for one in client.search_runs([found.experiment_id]) if "stage" not in one.data.tags]
    assert {one.info.run_name for one in parents} >= {"tiny", "tiny seeds=[7]"}
