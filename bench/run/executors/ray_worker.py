"""One stage in a worker of Ray: the ordinary work on the home, or a home of the node's own, for one key.

Nothing slow is imported before a worker knows its number of threads.
"""

import os
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench import __version__
from bench.core.errors import SepbenchError, Stopped
from bench.core.heard import heard
from bench.run.stopping import Stop
from bench.store.fetching import NotThere

if TYPE_CHECKING:
    from bench.data.images import Splits
    from bench.plan.plan import Plan
    from bench.plan.stage import Stage, StageResult
    from bench.run.executors.apart import Apart
    from bench.run.executors.executor import Workplace

_EVERY_SECONDS = 1.0
_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Errand:
    """What every worker of a run is told once.

    Attributes
    ----------
    assignment
        A `bench.run.assignment.Assignment` as JSON.
    mark
        A file that the driver has written into the home.
    folder
        Where the driver works: relative paths are of there.
    environment
        Variables that workers share with the driver.

    """

    assignment: str
    home: str
    mark: str
    folder: str
    environment: dict[str, str]
    version: str = __version__


@dataclass(frozen=True)
class Report:
    """How work on a stage ended.

    Attributes
    ----------
    status
        "stopped" at a safe point; "refused" where nothing can work on this node, for a `reason`; "apart" where the node
        does not see the home and was given no depot; "lacking" where what the stage reads is gone.
    host
        The machine it ran on.
    gpu_mb
        Memory of its GPU in MiB, 0 without one.
    warnings
        What was logged for a person.
    reports, traceback
        What MLflow is to be told, and how the stage failed, where the home was not there to keep it.

    """

    status: Literal["done", "failed", "stopped", "refused", "apart", "lacking"]
    host: str
    started: float
    ended: float
    reason: str | None = None
    cause: str | None = None
    gpu_mb: float = 0.0
    warnings: tuple[str, ...] = ()
    reports: tuple[bytes, ...] = ()
    traceback: str | None = None


def work_on(errand: Errand, key: str, threads: int, mailbox: Any, depot: Any = None) -> Report:
    """Work on the stage of this key with so many threads, and leave artifact and record in the home.

    A node that does not see the home sends both through the `depot`, an actor that does.
    A stage that fails leaves no record: the driver, which knows what it takes along, writes it.
    """
    began = time.time()
    os.environ.update(errand.environment, OMP_NUM_THREADS=str(threads))
    with heard() as warnings:
        try:
            _check_node(errand)
            if depot is None and not Path(errand.mark).is_file():
                return Report("apart", platform.node(), began, time.time())
            report = _work(errand, key, threads, mailbox, depot)
        except Stopped as stop:
            report = Report("stopped", platform.node(), began, time.time(), str(stop))
        except NotThere as lack:
            report = Report("lacking", platform.node(), began, time.time(), str(lack))
        except SepbenchError as error:
            report = Report("refused", platform.node(), began, time.time(), str(error))
    return replace(report, warnings=tuple(one.getMessage() for one in warnings))


def help_on(errand: Errand, key: str, threads: int, mailbox: Any) -> bool:
    """Craft shards of the stage of this key, at which another worker is; tell whether there were any.

    On a node that does not see the home there is nothing to help with.
    """
    from bench.core.device import choose_device
    from bench.run.assignment import Assignment
    from bench.run.executors.executor import Workplace
    from bench.run.executors.local import help_in
    from bench.store.home import Home

    os.environ.update(errand.environment, OMP_NUM_THREADS=str(threads))
    if errand.version != __version__ or not Path(errand.mark).is_file():
        return False
    with heard(), suppress(Stopped, SepbenchError):  # who made the stage says what is wrong
        _check_node(errand)
        _use(threads)
        plan, splits = _told(errand.assignment, Path(errand.home))
        if key in plan.stages:
            told = Assignment.model_validate_json(errand.assignment)
            stop, watcher = _Asked(stage_limit=told.stage_seconds), _Progress()
            device = choose_device(told.device)
            place = Workplace(Home(Path(errand.home)), device, watcher, stop, (), told.compile, told.tell)
            with stop.on_signals(), _in_touch(mailbox, f"{key} helped", watcher, stop):
                return help_in(plan, plan.stages[key], splits, place)
    return False


def _use(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)  # a worker has had other stages before


def _check_node(errand: Errand) -> None:
    if errand.version != __version__:
        raise SepbenchError(f"it has sepbench {__version__}, and the run began with {errand.version}: install that")
    if Path(errand.folder).is_dir():
        os.chdir(errand.folder)


def _work(errand: Errand, key: str, threads: int, mailbox: Any, depot: Any) -> Report:
    import torch

    from bench.core.device import choose_device
    from bench.record.tracking import NullTracker, Tracker, default_uri
    from bench.run.assignment import Assignment
    from bench.run.executors.executor import Workplace
    from bench.store.home import Home

    _use(threads)
    apart = None if Path(errand.mark).is_file() else _apart(depot, Path(errand.mark))
    home = Home(Path(errand.home)) if apart is None else apart.home
    plan, splits = _told(errand.assignment, home.root)
    if key not in plan.stages:
        raise SepbenchError("it reads other data or other plug-ins than the machine that began the run")
    told = Assignment.model_validate_json(errand.assignment)
    part = _part(plan, key)
    stop, watcher = _Asked(stage_limit=told.stage_seconds), _Progress()
    place = Workplace(home, choose_device(told.device), watcher, stop, (), told.compile, told.tell)
    tracker = Tracker(default_uri(Path(errand.home)), home, leave=True) if told.tell else NullTracker()
    stage = part.stages[key]

    def work() -> "StageResult":
        return _carried_out(part, stage, splits, place, tracker, alone=apart is not None)

    with stop.on_signals(), _in_touch(mailbox, key, watcher, stop):
        result = work() if apart is None else apart.work(stage, stop, work)
    report = Report(result.status, platform.node(), result.started, result.ended, result.reason, result.cause)
    if place.device.type == "cuda":
        report = replace(report, gpu_mb=torch.cuda.get_device_properties(place.device).total_memory / 2**20)
    if apart is not None:
        trace = apart.traceback(stage) if result.status == "failed" else None
        report = replace(report, reports=apart.reports(plan, stage), traceback=trace)
    return report


def _apart(depot: Any, mark: Path) -> "Apart":
    from bench.run.executors.apart import Apart

    return Apart(depot, mark)


@lru_cache(maxsize=1)
def _told(assignment: str, root: Path) -> "tuple[Plan, Splits]":
    """Return plan and data of a run: a worker has many stages of one run."""
    from bench.run.assignment import Assignment
    from bench.run.executors.local import splits_of
    from bench.store.home import Home

    home = Home(root)
    plan = Assignment.model_validate_json(assignment).plan(home)
    return plan, splits_of(plan, home)


def _part(plan: "Plan", key: str) -> "Plan":
    """Return what of a plan one stage needs."""
    needed = plan.upstream(key, lambda kind, one: False)
    stages = {stage.key: stage for stage in needed}
    return replace(plan, cells=tuple(one for one in plan.cells if one.victim == key), stages=stages)


def _carried_out(
    part: "Plan", stage: "Stage", splits: "Splits", place: "Workplace", tracker: Any, *, alone: bool
) -> "StageResult":
    """Work on a stage; where it reads what is damaged that is made again first, unless it is `alone`."""
    from bench.run.executors.local import Local
    from bench.run.recording import Recorder

    experiment = part.experiment
    tracker.start(experiment.name, {}, "")
    recorder = Recorder(part, place.home, tracker, place.device)
    last = None
    with closing(Local(splits).execute(part, [stage], place)) as results:
        for result in results:
            if result.stage.key == stage.key:
                last = result
            elif alone:  # on a GPU it has other bits than the one that all others read
                raise NotThere(f"its copy of {result.stage.label} was damaged: it is fetched again")
            if result.status == "done":
                recorder.take(result)
    assert last is not None
    return last


class _Progress:
    """Remembers how far the stage is."""

    def __init__(self) -> None:
        self.fraction = 0.0

    def started(self, stage: Any) -> None:
        """Nothing to remember."""

    def progress(self, fraction: float) -> None:
        """Remember it."""
        self.fraction = fraction

    def ended(self, result: Any) -> None:
        """Nothing to remember."""

    def waiting(self, owner: str) -> None:
        """Nothing to remember."""


class _Asked(Stop):
    """Stops where the driver wishes it, or where a signal asks for it."""

    wish: str | None = None

    def check(self) -> None:
        """Raise `Stopped` where the stage is to end here."""
        if self.wish is not None:
            raise Stopped(self.wish)
        super().check()


@contextmanager
def _in_touch(mailbox: Any, key: str, watcher: _Progress, stop: _Asked) -> Iterator[None]:
    """Tell the driver every second how far the stage is, and hear whether to stop."""
    over = threading.Event()

    def exchange() -> None:
        while True:
            # Not ray.get: while a task waits in it, Ray gives its cores to another one.
            with suppress(Exception):  # a driver that is gone takes its workers along
                answer = mailbox.exchange.remote(key, watcher.fraction).future()
                stop.wish = answer.result(_PATIENCE_SECONDS) or stop.wish
            if over.wait(_EVERY_SECONDS):
                return

    thread = threading.Thread(target=exchange, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
