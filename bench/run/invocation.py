"""One invocation of an experiment: run what its plan still needs, leave records, tell MLflow."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from bench.core.errors import Stopped
from bench.plan.plan import Plan
from bench.plan.stage import Stage, StageResult
from bench.record.record import Record
from bench.record.tracking import NullTracker, Tracker
from bench.run.executors.executor import Executor, Workplace, choose_executor
from bench.run.recording import Recorder
from bench.run.redo import make_room
from bench.run.sharing import ends

Artifacts = Callable[[Plan, Sequence[Record]], Mapping[str, str]]
"""From a plan and the records there are to texts by the names of their files."""


@dataclass(frozen=True)
class Invocation:
    """Everything one `sepbench run` works with, apart from the plan.

    Attributes
    ----------
    tables, figures
        What MLflow keeps of the run besides the runs of its stages; where figures fail, the run still ends.

    """

    place: Workplace
    executor: Executor = field(default_factory=lambda: choose_executor("local"))
    tracker: Tracker | NullTracker = field(default_factory=NullTracker)
    tables: Artifacts = lambda plan, records: {}
    figures: Artifacts = lambda plan, records: {}


@dataclass(frozen=True)
class Summary:
    """What an invocation came to.

    Attributes
    ----------
    records
        Of all cells that have ended, in the order of the plan.
    stages
        How many stages ended, in this process or in another.
    stopped
        Why it ended early; None where it went through.
    broken
        The stages that failed, in the order in which they did.
    doubts
        Sentences on methods whose promises did not hold when the run had a second look at them.

    """

    records: list[Record]
    stages: int = 0
    stopped: str | None = None
    broken: tuple[StageResult, ...] = ()
    doubts: tuple[str, ...] = ()

    def check_stopped(self) -> None:
        """Raise `Stopped` where it was."""
        if self.stopped:
            after = f" after {self.stages} stage{'s' * (self.stages != 1)}" if self.stages else ""
            raise Stopped(f"{self.stopped}{after}: finished work is kept, the same command goes on")

    @property
    def failures(self) -> list[Record]:
        """The records of failed cells."""
        return [one for one in self.records if one.status == "failed"]


def told_once(failures: Sequence[Record]) -> list[str]:
    """Return a sentence on each reason for which cells failed, naming the first of them."""
    several = Counter(one.reason for one in failures)
    first = {one.reason: one for one in reversed(failures)}
    told = []
    for reason in dict.fromkeys(one.reason for one in failures):
        one, others = first[reason], several[reason] - 1
        more = f" and {others} more cell{'s' * (others > 1)}" if others else ""
        told.append(f"failed: {one.method} {one.victim} {one.defense} seed {one.seed}{more}: {reason}")
    return told


def run_plan(plan: Plan, call: Invocation) -> Summary:
    """Run what the plan still needs and return the records of all its cells that ended.

    A cell that failed is recorded and the others go on; `Summary.stopped` is set where the run was stopped.

    Raises
    ------
    SepbenchError
        The data set cannot be read, or the disk cannot be written to.

    """
    place, tracker = call.place, call.tracker
    recorder = Recorder(plan, place.home, tracker, place.device)
    todo = plan.todo(place.home.store)
    unrecorded = recorder.recall({stage.key for stage in todo})
    if not (todo or unrecorded or recorder.pending()):
        return Summary(recorder.records)
    _open_log(plan, todo, tracker)
    with place.stop.on_signals():
        try:
            summary = _run(plan, todo, unrecorded, call, recorder)
        except BaseException:
            tracker.finish("failed", {})
            raise
        tracker.finish(
            "stopped" if summary.stopped else "failed" if summary.failures else "done",
            call.tables(plan, summary.records),
            lambda: call.figures(plan, summary.records),
        )
    return summary


def _run(plan: Plan, todo: list[Stage], unrecorded: list[Stage], call: Invocation, recorder: Recorder) -> Summary:
    ended: dict[str, StageResult] = {}
    stopped = None
    make_room(todo, call.place.home)
    try:
        try:
            with closing(ends(plan, todo, unrecorded, call.executor, call.place)) as results:
                for result in results:
                    recorder.take(result)
                    ended[result.stage.key] = result
        except Stopped as stop:
            stopped = str(stop)
        recorder.forward()
    except KeyboardInterrupt:
        stopped = "interrupted"
    asked_for = {stage.key for stage in todo}
    broken = tuple(result for result in ended.values() if result.status == "failed")
    doubts = tuple(recorder.doubts)
    return Summary(recorder.records, len(ended.keys() & asked_for), stopped, broken, doubts)


def _open_log(plan: Plan, todo: list[Stage], tracker: Tracker | NullTracker) -> None:
    experiment = plan.experiment
    tracker.start(
        experiment.name,
        experiment.model_dump(mode="json"),
        {"stages": [{"kind": stage.kind, "key": stage.key, "label": stage.label} for stage in todo]},
        {"recipe": experiment.recipe.name, "dataset": experiment.dataset.name},
        " ".join([*([f"@{experiment.profile}"] if experiment.profile else []), *experiment.overrides]),
    )
