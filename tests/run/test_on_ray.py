"""`--executor ray` on real nodes of this machine: what it comes to, and what survives the loss of any process."""

import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.store import lock
from tests.making.experiments import STAGES
from tests.making.ray_nodes import RayNodes
from tests.making.whole_runs import Running, Sepbench, Undisturbed

pytest.importorskip("ray", reason="Ray is not installed: pip install 'sepbench[ray]'")
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
        """Return the process that works on a stage, once one does."""
        locks = self.sepbench.home / "locks"
        wait_until(lambda: lock.owner(locks, key) is not None, "nobody works on it")
        return int((lock.owner(locks, key) or "").rpartition(" ")[2])


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
