"""A run beside others on one home: what it tells for them, what it waits for, what a signal or damage leaves of it."""

import io
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch

from bench.api import METHODS
from bench.plan.make import plan_experiment
from bench.plan.plan import Plan
from bench.plan.stage import StageResult
from bench.record.tracking import NullTracker, Tracker, default_uri
from bench.record.tracking.connection import connected
from bench.run.executors import local
from bench.run.executors.executor import Workplace
from bench.run.invocation import Invocation, Summary, run_plan
from bench.run.progress import Clock, PlainProgress
from bench.run.sharing import finished_meanwhile
from bench.run.stopping import Stop
from bench.spec.experiment import Experiment
from bench.store.artifacts import Store
from bench.store.home import Home
from bench.store.lock import Lock, acquire
from tests.making.experiments import FIELDS

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

EXPERIMENT = Experiment.model_validate(
    {
        **FIELDS,
        "name": "one-cell",
        "recipe": {"name": "digits", "epochs": 1},
        "dataset": {"name": "digits", "limit": 40, "test_limit": 20},
        "methods": ["random-noise"],
    }
)


@pytest.fixture(scope="module")
def run_by_a_worker(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """A home where a worker did all and nobody told MLflow, whose database is there."""
    home = Home(tmp_path_factory.mktemp("worker"))
    shutil.copy(empty_database, home.root)
    run(home, tracker=Tracker(default_uri(home.root), home, leave=True))
    return home.root


@pytest.fixture
def home(run_by_a_worker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copytree(run_by_a_worker, tmp_path / "home")
    return Home(tmp_path / "home")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The method fails until this is undone."""

    def fail(*arguments: Any) -> torch.Tensor:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(METHODS.get("random-noise"), "craft", fail)
    monkeypatch.setattr(local, "_POLL_SECONDS", 0.01)
    return monkeypatch


def plan(home: Home) -> Plan:
    return plan_experiment(EXPERIMENT, home.cards, lambda cell: cell.method.name == "random-noise")


def display() -> PlainProgress:
    return PlainProgress([], Clock([], lambda stage: 0.0), io.StringIO())


def run(home: Home, watcher: PlainProgress | None = None, tracker: Tracker | NullTracker | None = None) -> Summary:
    """Run the experiment, by default in front of MLflow."""
    tracker = tracker or Tracker(default_uri(home.root), home)
    return run_plan(
        plan(home), Invocation(Workplace(home, torch.device("cpu"), watcher or display(), Stop()), tracker=tracker)
    )


def waiting(home: Home) -> list[str]:
    return sorted(path.name.split("-")[0] for path in home.outbox.rglob("*.json"))


def logged(home: Home) -> list[tuple[str, str]]:
    """Return kind and status of every run in MLflow, "run" for a parent."""
    with connected(default_uri(home.root)) as client:
        experiment = client.get_experiment_by_name("one-cell")
        runs = client.search_runs([experiment.experiment_id]) if experiment else []
    return sorted((one.data.tags.get("stage", "run"), one.info.status) for one in runs)


TOLD = [("craft", "FINISHED"), ("run", "FINISHED"), ("victim", "FINISHED")]


def test_a_run_with_nothing_left_to_do_tells_what_a_killed_one_did_not(home: Home) -> None:
    assert waiting(home) == ["craft", "victim"]
    assert run(home).stages == 0
    assert (waiting(home), logged(home)) == ([], TOLD)
    run(home)
    assert logged(home) == TOLD


def test_what_waits_of_a_stage_is_left_to_the_process_that_holds_it(home: Home) -> None:
    (victim,) = (stage for stage in plan(home).stages.values() if stage.kind == "victim")
    held = acquire(home.locks, victim.key)
    assert held is not None
    with held:
        run(home)
    assert waiting(home) == ["victim"]
    assert ("victim", "FINISHED") not in logged(home)


def test_a_signal_while_the_rest_is_told_ends_no_run_in_the_middle(home: Home) -> None:
    class Signalled(Tracker):
        def forward(self, kind: str, key: str) -> bool:
            os.kill(os.getpid(), signal.SIGTERM)
            self.forward = super().forward  # type: ignore[method-assign]
            return super().forward(kind, key)

    def end(number: int, frame: FrameType | None) -> None:
        pytest.fail("the process has ended")

    before = signal.signal(signal.SIGTERM, end)
    try:
        assert run(home, tracker=Signalled(default_uri(home.root), home)).stopped is None
        assert signal.getsignal(signal.SIGTERM) is end
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (waiting(home), logged(home)) == ([], TOLD)


class Rival(PlainProgress):
    """Another process, which takes the stage that failed first, and tries it once this one waits."""

    def __init__(self, home: Home, attempt: Callable[[], object]) -> None:
        super().__init__([], Clock([], lambda stage: 0.0), io.StringIO())
        self._home, self._attempt = home, attempt
        self._failed: list[str] = []
        self.held: Lock | None = None

    def ended(self, result: StageResult) -> None:
        if result.status == "failed":
            self._failed.append(result.stage.key)
            if len(self._failed) == 2:  # the victim, whose lock is held; that of the crafting is free
                self.held = acquire(self._home.locks, self._failed[0])

    def waiting(self, owner: str) -> None:
        assert self.held is not None
        if self._attempt is not None:
            self.held.release()
            attempt, self._attempt = self._attempt, lambda: None
            attempt()


def test_a_run_ends_only_once_nobody_tries_again_what_failed_in_it(broken: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    others = []

    def attempt() -> None:
        broken.undo()
        others.append(run(home, tracker=NullTracker()))

    rival = Rival(home, attempt)
    summary = run(home, rival, NullTracker())
    assert rival.held is not None
    assert [one.status for one in others[0].records] == ["done"]
    assert summary.records == others[0].records


def test_a_run_ends_where_others_fail_as_well(broken: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    rival = Rival(home, lambda: None)
    summary = run(home, rival, NullTracker())
    assert rival.held is not None
    assert [one.reason for one in summary.failures] == [
        "craft random-noise linf-32 failed: RuntimeError: out of memory"
    ]


class DamagedOnceSeen(Store):
    def has(self, kind: str, key: str) -> bool:
        there = super().has(kind, key)
        (self.folder(kind, key) / "meta.json").write_text("{")
        return there


def test_what_others_finished_and_is_damaged_is_set_aside(home: Home) -> None:
    stages = list(plan(home).stages.values())

    def results() -> Iterator[StageResult]:
        yield from finished_meanwhile(stages, DamagedOnceSeen(home.store.root), home.locks)

    assert list(results()) == []
    assert len(list((home.store.root / "set-aside").iterdir())) == len(stages) == 2
