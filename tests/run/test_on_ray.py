"""`--executor ray` on real nodes of this machine: what it comes to, and what survives the loss of any process."""

import os
import signal
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.store import lock
from tests.making.alterations import with_many_threads
from tests.making.experiments import STAGES
from tests.making.ray_nodes import RayNodes
from tests.making.whole_runs import Running, Sepbench, Undisturbed

pytest.importorskip("ray", reason="Ray is not installed: pip install 'sepbench[ray]'")
from bench.run.executors import ray_cluster

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]

KEYS = "select value from tags where key = 'key'"
PATIENCE_SECONDS = 120


@pytest.fixture(scope="session")
def nodes() -> Iterator[RayNodes]:
    """Nodes for all tests: each takes seconds to start."""
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as folder:
        started = RayNodes(Path(folder))
        yield started
        started.close()


class OnNodes:
    """The command on those nodes."""

    def __init__(self, sepbench: Sepbench, nodes: RayNodes) -> None:
        self.sepbench, self.nodes = sepbench, nodes

    def start(self, *options: str, alter: Any = (), **changes: Any) -> Running:
        words = ("run", self.sepbench.experiment(**changes), "--executor", "ray", "--address", self.nodes.address)
        return self.sepbench.start(*words, *options, alter=alter, environment=self.nodes.environment)

    def worker_on(self, key: str) -> int:
        return worker_on(key, self.sepbench)


def worker_on(key: str, sepbench: Sepbench) -> int:
    """Return the process that works on a stage, once one does."""
    owners: list[str | None] = [None]

    def has_owner() -> bool:
        owners.append(lock.owner(sepbench.home / "locks", key))
        return owners[-1] is not None

    wait_until(has_owner, "nobody works on it")
    return int((owners[-1] or "").rpartition(" ")[2])


def wait_until(condition: Callable[[], bool], complaint: str) -> None:
    limit = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < limit, complaint
        time.sleep(0.01)


@pytest.fixture
def on_nodes(sepbench: Sepbench, nodes: RayNodes) -> OnNodes:
    return OnNodes(sepbench, nodes)


def named(undisturbed: Undisturbed, label: str) -> str:
    """Return the key of the stage whose label starts so."""
    (key,) = (key for name, key in undisturbed.keys.items() if name.startswith(label))
    return key


def test_two_nodes_come_to_what_one_process_does_and_tell_mlflow_of_every_stage(
    tracked: Sepbench, nodes: RayNodes, undisturbed: Undisturbed
) -> None:
    ended = OnNodes(tracked, nodes).start().finish()
    assert ended.code == 0, ended.err
    assert ended.complaints == []
    assert ended.table == undisturbed.table
    assert tracked.outcomes() == undisturbed.outcomes
    assert tracked.tensors() == undisturbed.home.tensors()
    shown = [line.split("] ")[1].split(":")[0] for line in ended.err.splitlines() if line.startswith("[")]
    assert Counter(shown) == dict.fromkeys(STAGES, 1)
    labels = [label for (label,) in tracked.logged("select value from params where key = 'label'")]
    assert Counter(labels) == dict.fromkeys(STAGES, 1)
    parents = tracked.logged("select value, count(*) from tags where key = 'mlflow.parentRunId' group by value")
    assert [count for _, count in parents] == [len(STAGES)]
    assert not list((tracked.home / "outbox").rglob("*.json"))
    assert not list((tracked.home / "logs").iterdir())


def test_a_worker_killed_in_training_and_a_node_lost_in_crafting_change_nothing(
    on_nodes: OnNodes, undisturbed: Undisturbed
) -> None:
    run = on_nodes.start("--no-mlflow")
    os.kill(on_nodes.worker_on(named(undisturbed, "surrogate")), signal.SIGKILL)
    on_nodes.nodes.lose(on_nodes.worker_on(named(undisturbed, "craft sep")))
    ended = run.finish()
    assert ended.code == 0, ended.err
    (warning,) = ended.complaints
    assert "Ray lost workers or nodes, whose stages were begun again: see " in warning
    assert "died" in Path(warning.rpartition("see ")[2]).read_text()
    assert ended.table == undisturbed.table
    assert on_nodes.sepbench.outcomes() == undisturbed.outcomes
    assert on_nodes.sepbench.tensors() == undisturbed.home.tensors()


def test_a_node_with_nothing_else_to_do_crafts_shards_of_what_another_makes(
    on_nodes: OnNodes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    two_shards: dict[str, Any] = {
        "dataset": {"name": "digits", "test_limit": 100},  # 1,437 images
        "recipe": {"name": "digits", "epochs": 1},
        "methods": [{"sep": {"checkpoints": 1, "steps": 60, "step_size": 1}}],
    }
    alone = Sepbench(tmp_path_factory.mktemp("alone"))
    assert alone.run("--only", "method=sep", **two_shards).code == 0
    run = on_nodes.start("--no-mlflow", "--only", "method=sep", **two_shards)
    (key,) = (path.name for path in (alone.home / "store" / "craft").glob("*/*"))
    helper = worker_on(f"{key}-shard-0001024-1024", on_nodes.sepbench)
    assert helper != on_nodes.worker_on(key)
    ended = run.finish()
    assert ended.code == 0, ended.err
    assert ended.complaints == []
    assert on_nodes.sepbench.tensors() == alone.tensors()
    assert on_nodes.sepbench.outcomes() == alone.outcomes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_stages_at_work_at_a_safe_point_and_the_same_command_goes_on(
    number: signal.Signals, on_nodes: OnNodes, undisturbed: Undisturbed
) -> None:
    run = on_nodes.start("--no-mlflow")
    worker = on_nodes.worker_on(named(undisturbed, "surrogate"))
    run.send(number)
    stopped = run.finish()
    assert stopped.code == 3, stopped.err
    (line,) = stopped.complaints
    assert f"stopped by {'Ctrl-C' if number == signal.SIGINT else 'SIGTERM'}" in line
    assert "finished work is kept, the same command goes on" in line
    wait_until(lambda: not Path(f"/proc/{worker}").exists(), "the worker goes on")
    assert not on_nodes.sepbench.store.has("victim", named(undisturbed, "victim sep"))
    again = on_nodes.start("--no-mlflow").finish()
    assert again.table == undisturbed.table
    assert on_nodes.sepbench.outcomes() == undisturbed.outcomes


@pytest.mark.parametrize("label", ["surrogate", "craft sep", "victim sep"])
def test_a_run_goes_on_after_its_driver_was_killed(label: str, on_nodes: OnNodes, undisturbed: Undisturbed) -> None:
    run = on_nodes.start("--no-mlflow")
    on_nodes.worker_on(named(undisturbed, label))
    run.kill()
    again = on_nodes.start("--no-mlflow").finish()
    assert again.code == 0, again.err
    assert again.table == undisturbed.table
    assert on_nodes.sepbench.outcomes() == undisturbed.outcomes
    assert on_nodes.sepbench.tensors() == undisturbed.home.tensors()


BROKEN = """\
import os
from pathlib import Path

from bench.api import METHODS, Method


@METHODS.register("raises")
class Raises(Method):
    \"\"\"Fails.\"\"\"

    def craft(self, data, budget, ctx):
        with Path(__file__).with_name("attempts").open("a") as file:
            file.write("raises ")
        raise RuntimeError("the generator network is missing")


@METHODS.register("exits")
class Exits(Method):
    \"\"\"Ends its process.\"\"\"

    def craft(self, data, budget, ctx):
        with Path(__file__).with_name("attempts").open("a") as file:
            file.write("exits ")
        os._exit(7)
"""


def test_what_raises_is_tried_once_what_ends_its_process_three_times_and_all_else_goes_on(on_nodes: OnNodes) -> None:
    file = on_nodes.sepbench.folder / "broken.py"
    file.write_text(BROKEN)
    ended = on_nodes.start("--no-mlflow", "--plugin", str(file), methods=["none", "raises", "exits"]).finish()
    assert ended.code == 1, ended.err
    assert Counter(file.with_name("attempts").read_text().split()) == {"raises": 1, "exits": 3}
    records = {one.method: one for one in on_nodes.sepbench.records().values()}
    assert {name: one.status for name, one in records.items()} == {
        "none": "done",
        "raises": "failed",
        "exits": "failed",
    }
    raised, ended_by_itself = records["raises"].reason or "", records["exits"].reason or ""
    assert raised.endswith("craft raises linf-32 failed: RuntimeError: the generator network is missing")
    assert "craft exits linf-32 failed: 3 workers of Ray died over it: " in ended_by_itself
    assert [path.read_text().count("generator network") for path in on_nodes.sepbench.home.glob("logs/craft-*")] == [2]


def test_more_cores_than_any_node_has_are_a_sentence_and_no_silent_wait(on_nodes: OnNodes) -> None:
    ended = on_nodes.start("--no-mlflow", alter=[with_many_threads]).finish()
    assert ended.code == 2
    awaited, told = ended.complaints
    assert awaited == "waiting: no node of the Ray cluster has 64 cores"
    assert told == (
        "sepbench: a stage asks for 64 cores, and no node of the Ray cluster has that, the largest has 1: set "
        "OMP_NUM_THREADS, give more --jobs, or start nodes; finished work is kept"
    )


def test_an_address_at_which_nothing_answers_is_a_sentence(sepbench: Sepbench) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    ended = sepbench.run("--executor", "ray", "--address", address)
    assert ended.code == 2
    assert ended.complaints == [
        f"sepbench: no Ray cluster answers at {address} (Connection refused): start one with ray start --head"
    ]


def of_run(pid: int) -> Path:
    """Return the folder of the cluster that a process is of."""
    variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    (folder,) = (one.partition(b"=")[2].decode() for one in variables if one.startswith(b"SEPBENCH_RAY="))
    return Path(folder)


def listening(pids: list[int]) -> set[str]:
    """Return the addresses at which these processes listen, in hexadecimal numbers."""
    links = [path for pid in pids for path in Path(f"/proc/{pid}/fd").iterdir()]
    sockets = {str(path.readlink()) for path in links if path.is_symlink()}
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return {row[1].partition(":")[0] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in sockets}


def test_ray_on_this_machine_listens_on_loopback_alone_and_what_a_killed_run_leaves_the_next_one_removes(
    sepbench: Sepbench, undisturbed: Undisturbed
) -> None:
    words = ("run", sepbench.experiment(), "--no-mlflow", "--executor", "ray")
    run = sepbench.start(*words)
    worker = worker_on(named(undisturbed, "surrogate"), sepbench)
    folder = of_run(worker)
    assert (folder / "token").stat().st_mode & 0o777 == 0o600
    assert folder.parent.stat().st_mode & 0o777 == 0o700
    found = listening([*ray_cluster.processes_of(folder)])
    assert {"0000000000000000FFFF00000100007F"} <= found <= {"0000000000000000FFFF00000100007F", "0100007F"}
    run.kill()
    again = sepbench.call(*words)
    assert again.code == 0, again.err
    assert again.complaints == ["starting Ray on this machine"]
    assert again.table == undisturbed.table
    assert sepbench.outcomes() == undisturbed.outcomes
    assert not folder.exists()
    assert not [*ray_cluster.processes_of(folder)]
    assert not [path for path in folder.parent.iterdir() if path.name != ".guard"]
