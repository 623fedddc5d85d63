"""The experiment log: what reaches MLflow, from runs that end well, fail, or are killed."""

import json
import logging
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.record.tracking import (
    NullTracker,
    Tracker,
    default_uri,
    records,
    sync,
    ui_command,
)
from bench.record.tracking.connection import connected
from bench.store.home import Home
from tests.making.reports import artifact, children, make_record, make_report, parents, waiting

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


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
    away = Tracker(f"http://127.0.0.1:{closed_port}", Home(home))
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
    tracker = Tracker(uri, Home(home))
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
    tracker = Tracker(uri, Home(home))
    tracker.start("quick", {}, "")
    tracker.finish("done", {})
    assert dict(os.environ) == environment
    assert logging.getLogger("mlflow").level == level


KILLED_RUN = """
import os, signal, sys
from pathlib import Path
from bench.record.tracking import Tracker, default_uri
from bench.store.home import Home
home = Path(sys.argv[1])
Tracker(default_uri(home), Home(home)).start("quick", {}, "")
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


@pytest.mark.slow
def test_a_killed_run_is_closed_by_the_next_and_a_live_one_left_alone(tracker: Tracker, uri: str, home: Path) -> None:
    process = python("-c", KILLED_RUN, str(home))
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert [run.info.status for run in parents(uri)] == ["RUNNING", "RUNNING"]

    Tracker(uri, Home(home)).start("quick", {}, "")
    dead = {run.data.tags["sepbench.pid"]: run.info.status for run in parents(uri)}
    assert dead == {str(process.pid): "KILLED", str(os.getpid()): "RUNNING"}


def remove_signs_of_life(home: Path) -> None:
    for path in (home / "locks").glob("mlflow-*"):
        path.unlink()


def test_a_process_id_in_use_again_does_not_keep_a_dead_run_open(tracker: Tracker, uri: str, home: Path) -> None:
    remove_signs_of_life(home)
    [run] = parents(uri)
    with connected(uri) as client:
        client.set_tag(run.info.run_id, "sepbench.process_started", "1")
    sync(uri, Home(home))
    Tracker(uri, Home(home)).start("quick", {}, "")
    assert sorted(run.info.status for run in parents(uri)) == ["KILLED", "RUNNING"]


def pretend_another_machine(uri: str, home: Path, pid: int) -> None:
    """Let the open run be one of a process of a container with this host's name."""
    [run] = parents(uri)
    with connected(uri) as client:
        for name, value in (("pid_space", "another-boot pid:[1]"), ("pid", str(pid)), ("process_started", "1")):
            client.set_tag(run.info.run_id, f"sepbench.{name}", value)
    for path in (home / "locks").glob("mlflow-*"):
        sign = json.loads(path.read_text())
        path.write_text(json.dumps(sign | {"pid_space": "another-boot pid:[1]", "pid": pid, "started": 1}))


def test_a_live_run_of_a_container_with_this_hosts_name_is_left_alone(tracker: Tracker, uri: str, home: Path) -> None:
    pretend_another_machine(uri, home, pid=os.getpid())
    Tracker(uri, Home(home)).start("quick", {}, "")
    assert [run.info.status for run in parents(uri)] == ["RUNNING", "RUNNING"]


def test_a_run_of_a_container_that_is_gone_is_closed_once_its_heartbeat_is_old(
    tracker: Tracker, uri: str, home: Path
) -> None:
    pretend_another_machine(uri, home, pid=os.getpid())
    for path in (home / "locks").glob("mlflow-*"):
        os.utime(path, (0, 0))
    Tracker(uri, Home(home)).start("quick", {}, "")
    assert sorted(run.info.status for run in parents(uri)) == ["KILLED", "RUNNING"]
    assert len(list((home / "locks").glob("mlflow-*"))) == 1


def test_a_run_elsewhere_that_gives_no_sign_in_this_home_is_left_alone(tracker: Tracker, uri: str, home: Path) -> None:
    pretend_another_machine(uri, home, pid=os.getpid())
    remove_signs_of_life(home)
    Tracker(uri, Home(home)).start("quick", {}, "")
    assert [run.info.status for run in parents(uri)] == ["RUNNING", "RUNNING"]


def test_a_run_that_ends_leaves_no_sign_of_life(tracker: Tracker, home: Path) -> None:
    assert len(list((home / "locks").glob("mlflow-*"))) == 1
    tracker.finish("done", {})
    assert list((home / "locks").glob("mlflow-*")) == []


def refuse_to_end_runs(*_: object, **__: object) -> None:
    raise ConnectionError("MLflow is away")


def test_a_run_that_mlflow_could_not_end_is_closed_once_its_process_is_gone(
    tracker: Tracker, uri: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as away:
        away.setattr("mlflow.MlflowClient.set_terminated", refuse_to_end_runs)
        tracker.finish("done", {})
    pretend_another_machine(uri, home, pid=os.getpid())
    Tracker(uri, Home(home)).start("quick", {}, "")
    assert [run.info.status for run in parents(uri)] == ["RUNNING", "RUNNING"], "its heartbeat is fresh"
    for path in (home / "locks").glob("mlflow-*"):
        os.utime(path, (0, 0))
    Tracker(uri, Home(home)).start("quick", {}, "")
    assert sorted(run.info.status for run in parents(uri)) == ["KILLED", "RUNNING", "RUNNING"]


@pytest.mark.usefixtures("mlflow")
@pytest.mark.slow
def test_two_first_runs_at_once_share_one_new_database_without_a_word(tmp_path: Path) -> None:
    processes = [python("-c", KILLED_RUN, str(tmp_path)) for _ in range(2)]
    assert [process.communicate()[0] for process in processes] == ["", ""]
    assert len(parents(default_uri(tmp_path))) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["locks", "mlartifacts", "mlflow.db"]


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
    tracker = Tracker(server, Home(home))
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
    process = python(
        "-c", "import sys, bench.record.tracking; print({'mlflow', 'sqlalchemy', 'torch'} & sys.modules.keys())"
    )
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


@pytest.mark.usefixtures("mlflow")
def test_the_command_works_where_the_environment_is_not_active(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = Path(sys.executable).parent
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)  # the environment may lie in the folder that the tests are run from
    assert ui_command("sqlite:////elsewhere/mlflow.db").startswith(f"{environment}/mlflow ui ")
    assert ui_command("https://host:5000") == f"{environment}/python -m webbrowser https://host:5000"
    monkeypatch.chdir(environment.parent)
    assert ui_command("sqlite:////elsewhere/mlflow.db").startswith(f"{environment.name}/mlflow ui ")
