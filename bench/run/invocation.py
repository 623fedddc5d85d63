"""One invocation of an experiment: plan, run what is missing, leave records, tell MLflow, make the table."""

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field, fields
from pathlib import Path

import torch

from bench import lock
from bench.data.loading import card, load_with_card
from bench.disk import make_folder, write_atomically, writing
from bench.errors import SepbenchError, Stopped
from bench.executors.local import StageResult, Watcher, execute, finished_meanwhile
from bench.home import Home
from bench.keys import canonical
from bench.plan import Plan, PlannedCell, Stage, make_plan
from bench.record import Record
from bench.registry import UnknownName
from bench.reporting import failed_record, record, report
from bench.spec import Cell, Experiment
from bench.stopping import Stop
from bench.store import Store
from bench.tables import CellId, Table, build, render
from bench.tracking import NullTracker, Tracker
from bench.workbench import Workbench

TABLE_FORMS = ("md", "csv", "json")
"""What a table is kept as beside records; each is also the suffix of its file."""


@dataclass(frozen=True)
class Summary:
    """What an invocation came to.

    Attributes
    ----------
    stages
        How many stages ended, in this process or in another.
    stopped
        Why it ended early; None where it went through.

    """

    plan: Plan
    records: list[Record]
    stages: int
    stopped: str | None

    @property
    def failures(self) -> list[Record]:
        """The records of failed cells."""
        return [one for one in self.records if one.status == "failed"]


@dataclass
class Invocation:
    """Everything one `sepbench run` works with, apart from the experiment.

    With `compile` networks train with torch.compile. `workers` are further processes on the same experiment, which
    work while it is entered.
    """

    home: Home
    device: torch.device
    watcher: Watcher
    tracker: Tracker | NullTracker = field(default_factory=NullTracker)
    stop: Stop = field(default_factory=Stop)
    workers: AbstractContextManager[None] = field(default_factory=nullcontext)
    compile: bool = False


def plan_experiment(experiment: Experiment, home: Home, only: Callable[[Cell], bool] = lambda cell: True) -> Plan:
    """Return the plan; decodes the data set only where it has not been seen before."""
    if not any(map(only, experiment.cells())):
        raise SepbenchError("--only leaves no cell of the experiment: see sepbench plan for those it has")
    for defense in experiment.defenses:
        defense.check_files()
    return make_plan(experiment, card(experiment.dataset.located(), home.cards, _extra(experiment)), only)


def run_plan(plan: Plan, call: Invocation) -> Summary:
    """Run what the plan still needs and return the records of all its cells that ended.

    A cell that failed is recorded and the others go on; `Summary.stopped` is set where the run was stopped.

    Raises
    ------
    SepbenchError
        The data set cannot be read, or the disk cannot be written to.

    """
    home, store = call.home, call.home.store
    todo = plan.missing(store.has)
    unfinished = {stage.key for stage in todo}
    before = [planned for planned in plan.cells if planned.victim not in unfinished]
    records = {planned.victim: record(plan, planned, store.meta("victim", planned.victim)) for planned in before}
    folder = home.records(plan.experiment)
    unrecorded = [planned for planned in before if not _is_recorded(folder, records[planned.victim])]
    if not todo and not unrecorded and not _untold(plan, call):
        return Summary(plan, list(records.values()), 0, None)

    call.tracker.start(
        plan.experiment.name,
        plan.experiment.model_dump(mode="json"),
        {"stages": [{"kind": stage.kind, "key": stage.key, "label": stage.label} for stage in todo]},
        {"recipe": plan.experiment.recipe.name, "dataset": plan.experiment.dataset.name},
    )
    with call.stop.on_signals():
        try:
            ended, stopped = _work(plan, todo, unrecorded, call, records)
        except BaseException:
            call.tracker.finish("failed", {})
            raise
        summary = Summary(plan, [records[one.victim] for one in plan.cells if one.victim in records], ended, stopped)
        call.tracker.finish(
            "stopped" if stopped else "failed" if summary.failures else "done",
            _tables(summary),
            lambda: _figures(summary),
        )
    return summary


def _work(
    plan: Plan, todo: list[Stage], unrecorded: list[PlannedCell], call: Invocation, records: dict[str, Record]
) -> tuple[int, str | None]:
    """Fill `records`; return how many stages ended, and why no more did where the run was stopped."""
    store, locks = call.home.store, call.home.locks
    ended: dict[str, StageResult] = {}
    stopped = None
    by_others = [plan.stages[planned.victim] for planned in unrecorded]
    try:
        for result in finished_meanwhile(by_others, store, locks):
            _take(plan, call, result, records)
        try:
            with call.workers, closing(_results(plan, todo, call)) as results:
                for result in results:
                    ended[result.stage.key] = result
                    _take(plan, call, result, records)
        except Stopped as stop:
            stopped = str(stop)
        rest = [stage for stage in todo if stage.key not in ended or ended[stage.key].status == "failed"]
        for result in finished_meanwhile(rest, store, locks):
            ended[result.stage.key] = result
            call.watcher.ended(result)
            _take(plan, call, result, records)
        for result in finished_meanwhile(by_others, store, locks):  # whose locks were held before
            _take(plan, call, result, records)
        _forward(plan, call)
    except KeyboardInterrupt:
        stopped = "interrupted"
    return len(ended), stopped


def _forward(plan: Plan, call: Invocation) -> None:
    """Send what is left to tell of the plan's stages: attempts that failed elsewhere, what killed processes left."""
    for stage in _untold(plan, call):
        held = lock.acquire(call.home.locks, stage.key)
        if held is not None:  # else its holder tells of it, or the next run does
            with held:
                call.tracker.forward(stage.kind, stage.key)


def _untold(plan: Plan, call: Invocation) -> list[Stage]:
    waiting = call.tracker.waiting(plan.experiment.name)
    return [stage for stage in plan.stages.values() if stage.key in waiting]


def _results(plan: Plan, todo: list[Stage], call: Invocation) -> Generator[StageResult, None, None]:
    if not todo:
        return
    experiment = plan.experiment
    splits, card_now = load_with_card(experiment.dataset.located(), call.home.cards, _extra(experiment))
    if card_now != plan.card:
        raise SepbenchError("the data set changed while the run was being planned: run the same command again")
    bench = Workbench(splits, call.home.store, call.device, call.compile, on_safe_point=call.stop.check)
    yield from execute(plan, todo, bench, call.home.locks, call.home.logs, call.watcher)


def _extra(experiment: Experiment) -> list[int]:
    return [count for count in experiment.clean_images if count]


def _record(plan: Plan, planned: PlannedCell, result: StageResult, device: torch.device) -> Record:
    if result.meta is None:
        return failed_record(plan, planned, result.reason or "no reason given", device)
    return record(plan, planned, result.meta)


def _take(plan: Plan, call: Invocation, result: StageResult, records: dict[str, Record]) -> None:
    """Report and record a stage that ended; where another process ran it, what that process has not done of this."""
    planned = next((one for one in plan.cells if one.victim == result.stage.key), None)
    made = None if planned is None else _record(plan, planned, result, call.device)
    if made is not None:
        records[made.key] = made
    folder = call.home.records(plan.experiment)
    # Who runs a stage reports it, or leaves the report to be sent by the first process that has MLflow.
    told = call.tracker.forward(result.stage.kind, result.stage.key) and result.elsewhere
    if result.elsewhere and (made is None or _is_recorded(folder, made)):
        return
    # In this order: a victim whose process is killed in between has no record yet, and is reported by the next run.
    if not told:
        call.tracker.stage(report(plan, result, planned, made))
    if made is not None:
        with writing(folder):
            make_folder(folder)
            write_atomically(folder / f"{made.key}.json", made.to_json().encode())


def _is_recorded(folder: Path, made: Record) -> bool:
    path = folder / f"{made.key}.json"
    return path.is_file() and path.read_bytes() == made.to_json().encode()


def _tables(summary: Summary) -> dict[str, str]:
    if not _measured(summary):
        return {}
    table = table_of(summary)
    return {f"table.{form}": render(table, form) for form in TABLE_FORMS}


def _figures(summary: Summary) -> dict[str, str]:
    if not _measured(summary):
        return {}
    from bench.plots import svgs

    drawn = svgs(table_of(summary), summary.records, summary.plan.experiment.title)
    return {f"plots/{kind}.svg": text for kind, text in drawn.items()}


def _measured(summary: Summary) -> bool:
    return any(one.status == "done" for one in summary.records)


def table_of(summary: Summary) -> Table:
    """Return the experiment's table of what the run knows."""
    experiment = summary.plan.experiment
    return build(
        summary.records,
        experiment.layout,
        expected=[cell_id(experiment, planned.cell) for planned in summary.plan.cells],
    )


def cell_id(experiment: Experiment, cell: Cell) -> CellId:
    """Return what the table calls a cell of the experiment."""
    named = {
        **cell.fields(),
        "method_params": canonical(cell.method.params_json()),
        "dataset": experiment.dataset.name,
        "recipe": experiment.recipe.name,
    }
    return CellId(**{one.name: named[one.name] for one in fields(CellId)})


def check_stage_kinds(kinds: Sequence[str]) -> None:
    """Raise `UnknownName` for what is no kind of stage."""
    known = ("surrogate", "craft", "victim")
    for kind in kinds:
        if kind not in known:
            raise UnknownName("stage of --force", kind, known)


def redo(plan: Plan, kinds: Sequence[str], store: Store) -> None:
    """Set the finished artifacts of whole kinds of stages aside, with everything made from them, to run them again."""
    outdated: set[str] = set()
    for stage in plan.stages.values():  # inputs come before what is made from them
        if stage.kind in kinds or outdated.intersection(stage.inputs):
            outdated.add(stage.key)
            store.set_aside(stage.kind, stage.key, "run again by --force")
