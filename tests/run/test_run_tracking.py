"""MLflow and the records tell the same; MLflow is never in the way, and nothing meant for it is lost."""

import socket
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.record.tracking import default_uri
from bench.record.tracking.connection import connected
from tests.making.alterations import hold, hold_before_reporting_a_victim
from tests.making.experiments import STAGES
from tests.making.whole_runs import Before, Sepbench, Undisturbed

pytestmark = pytest.mark.slow

STAGE_RUNS = "select value from tags where key = 'stage'"
STATUS = "select status from runs"


def nowhere() -> str:
    """Return the address of a tracking server that is away."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}"


@pytest.mark.parametrize("form", ["md", "csv", "json"])
def test_the_table_from_mlflow_is_the_table_from_the_records(form: str, after_a_run: Sepbench) -> None:
    file = after_a_run.experiment()
    from_mlflow = after_a_run.call("table", file, "--format", form)
    from_records = after_a_run.call("table", file, "--format", form, "--records", str(after_a_run.home / "records"))
    assert from_mlflow.code == from_records.code == 0
    assert from_mlflow.out == from_records.out


def test_run_prints_the_table_that_mlflow_has(undisturbed: Undisturbed, after_a_run: Sepbench) -> None:
    assert after_a_run.call("table", after_a_run.experiment(), "--strict").table == undisturbed.table


@pytest.mark.usefixtures("mlflow")
def test_tables_and_figures_are_artifacts_of_the_parent_run(undisturbed: Undisturbed, tmp_path: Path) -> None:
    with connected(default_uri(undisturbed.home.home)) as client:
        experiment = client.get_experiment_by_name("tiny")
        assert experiment is not None
        (parent,) = client.search_runs([experiment.experiment_id], "attributes.run_name = 'tiny'")
        there = {file.path for folder in (None, "plots") for file in client.list_artifacts(parent.info.run_id, folder)}
        figure = client.download_artifacts(parent.info.run_id, "plots/bars.svg", str(tmp_path))
    assert there >= {"table.md", "table.csv", "table.json", "plots/bars.svg"}
    assert "plots/passes.svg" not in there, "two methods are no curve"
    # Letters are drawn as outlines; what they spell stands in a comment.
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    root = ElementTree.parse(figure, parser).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    words = {str(one.text).strip() for one in root.iter() if callable(one.tag)}
    assert words >= {"none", "random-noise", "sep"}


@pytest.mark.usefixtures("mlflow")
def test_a_run_without_its_tracking_server_loses_nothing(sepbench: Sepbench, undisturbed: Undisturbed) -> None:
    file = sepbench.experiment()
    run = sepbench.call("run", file, environment={"MLFLOW_TRACKING_URI": nowhere()})
    assert run.code == 0
    assert run.table == undisturbed.table
    (warning,) = run.complaints
    assert "takes no reports (Connection refused)" in warning
    assert "sepbench sync" in warning
    assert not (sepbench.home / "mlflow.db").exists()

    sent = sepbench.call("sync")
    assert sent.code == 0
    assert sent.out.startswith(f"{len(STAGES)} sent, 0 were there already, 0 left")
    assert len(sepbench.logged(STAGE_RUNS)) == len(STAGES)
    again = sepbench.call("sync")
    assert again.out.startswith("0 sent, 0 were there already, 0 left")
    assert len(sepbench.logged(STAGE_RUNS)) == len(STAGES)
    assert sepbench.call("table", file).table == undisturbed.table


def test_runs_that_a_kill_left_open_are_closed_by_the_next(tracked: Sepbench, undisturbed: Undisturbed) -> None:
    file = tracked.experiment()
    run = tracked.start("run", file, alter=[hold("surrogate", 0.5)])
    run.wait_for("held")
    run.kill()
    assert ("RUNNING",) in tracked.logged(STATUS)
    assert tracked.call("run", file).code == 0
    assert {status for (status,) in tracked.logged(STATUS)} == {"FINISHED", "KILLED"}
    assert tracked.logged("select count(*) from runs where status = 'KILLED'") == [(1,)]
    assert sorted(stage for (stage,) in tracked.logged(STAGE_RUNS)) == sorted(label.split()[0] for label in STAGES)
    assert tracked.call("table", file).table == undisturbed.table


def test_a_victim_whose_report_a_kill_prevented_is_reported_by_the_next_run(
    tracked: Sepbench, undisturbed: Undisturbed
) -> None:
    file = tracked.experiment()
    run = tracked.start("run", file, alter=[hold_before_reporting_a_victim])
    run.wait_for("held")
    run.kill()
    assert tracked.call("run", file).code == 0
    assert tracked.call("table", file, "--strict").table == undisturbed.table


def test_a_record_that_a_kill_prevented_is_left_by_the_next_run(before: Before, undisturbed: Undisturbed) -> None:
    sepbench = before("victim sep")
    run = sepbench.start("run", sepbench.experiment(), "--no-mlflow", alter=[hold("victim sep", 0.0, "ended")])
    run.wait_for("held")
    run.kill()
    assert len(sepbench.records()) == 2
    again = sepbench.run()
    assert (again.code, again.ran, again.table) == (0, [], undisturbed.table)
    assert sepbench.outcomes() == undisturbed.outcomes


def test_a_damaged_record_is_written_again(after_a_run: Sepbench, undisturbed: Undisturbed) -> None:
    for path in (after_a_run.home / "records").rglob("*.json"):
        path.write_bytes(path.read_bytes()[:100])
    again = after_a_run.run()
    assert (again.code, again.ran, again.table) == (0, [], undisturbed.table)
    assert after_a_run.outcomes() == undisturbed.outcomes


def test_no_mlflow_writes_no_database_and_no_reports(before: Before, undisturbed: Undisturbed) -> None:
    sepbench = before("craft sep")
    run = sepbench.run()
    assert run.code == 0
    assert run.out.strip() == undisturbed.table  # and no word of MLflow
    assert {path.name for path in sepbench.home.iterdir()} == {"cards", "locks", "paces", "records", "store"}


def test_another_experiment_reports_the_victims_it_shares_without_training_them(
    after_a_run: Sepbench, undisturbed: Undisturbed
) -> None:
    other = after_a_run.experiment(name="other", title="the same cells")
    artifacts = after_a_run.files()
    run = after_a_run.call("run", other)
    assert run.code == 0
    assert run.ran == []
    assert after_a_run.files() == artifacts
    assert run.table == undisturbed.table.replace("tiny", "other")
    assert {one.experiment for one in after_a_run.records("other").values()} == {"other"}
    assert set(after_a_run.records("other")) == set(after_a_run.records("tiny"))
    assert after_a_run.call("table", other, "--strict").table == run.table
    assert after_a_run.call("table", after_a_run.experiment(), "--strict").table == undisturbed.table
    assert after_a_run.call("run", other).events == []
