"""Stages one after the other in this process; other processes on the same store share the work."""

import logging
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from bench.core.device import choose_devices
from bench.core.disk import DiskError
from bench.core.errors import SepbenchError, Stopped
from bench.data.images import Splits
from bench.data.loading import load_planned
from bench.engine.memory import give_back
from bench.plan.plan import Plan
from bench.plan.plugin_sources import sources_of_data
from bench.plan.stage import Stage, StageResult
from bench.run.executors.executor import Watcher, Workplace
from bench.run.executors.jobs import workers
from bench.run.sharing import finished
from bench.run.stages.dispatch import run_stage
from bench.run.stages.helping import help_with, may_be_helped
from bench.run.stages.workbench import Workbench
from bench.store import lock
from bench.store.artifacts import CorruptArtifact
from bench.store.home import Home

_LOG = logging.getLogger("sepbench")
_POLL_SECONDS = 1.0


class Local:
    """This process, and others like it on the devices of `Workplace.further`.

    `splits` is the data of the plan where it has been loaded already.
    """

    name = "local"

    def __init__(self, splits: Splits | None = None) -> None:
        self._splits = splits

    def devices(self, names: str, jobs: int) -> list[torch.device]:
        """Return the named devices, each as often as there are jobs."""
        return choose_devices(names) * jobs

    def execute(self, plan: Plan, todo: list[Stage], place: Workplace) -> Generator[StageResult, None, None]:
        """Run stages one after the other; those that another process holds are left to it.

        Where nothing else is left to do, it crafts shards of these. The end waits for other processes that try again
        what failed here. A damaged artifact is set aside and made again.
        """
        if todo:
            shared = any(may_be_helped(stage, plan.card, place.device) for stage in todo)
            with workers(1 + len(place.further) if shared else len(todo), plan, place):
                yield from _take_turns(plan, todo, _workbench(plan, place, self._splits), place)


def splits_of(plan: Plan, home: Home) -> Splits:
    """Load the data that a plan was made for; raises `SepbenchError` where it is other data by now."""
    experiment = plan.experiment
    return load_planned(experiment.dataset.located(), plan.card, home.cards, experiment.added_images)


def _workbench(plan: Plan, place: Workplace, splits: Splits | None = None) -> Workbench:
    if place.device.type == "cuda":
        torch.cuda.set_device(place.device)  # what asks torch for "cuda" is to get this one
    return Workbench(
        splits_of(plan, place.home) if splits is None else splits,
        place.home.store,
        place.device,
        place.compile,
        place.watcher.progress,
        place.stop.check,
        sources_of_data(plan.experiment.dataset.format),
        looks_twice=True,
    )


def help_in(plan: Plan, stage: Stage, splits: Splits, place: Workplace) -> bool:
    """Craft shards of a stage that another process has begun; tell whether there were any."""
    return _helped(plan, {stage.key: stage}, _workbench(plan, place, splits), place, set())


def claiming(bench: Workbench, stage: Stage, locks: Path) -> Workbench:
    """Return the workbench as it is for one stage, of which other processes may take parts, too."""

    @contextmanager
    def claim(part: str) -> Iterator[bool]:
        held = lock.acquire(locks, f"{stage.key}-{part}")
        if held is None:
            yield False
            return
        with held:
            yield True

    return replace(bench, claim=claim)


def _take_turns(plan: Plan, todo: list[Stage], bench: Workbench, place: Workplace) -> Iterator[StageResult]:
    locks, watcher = place.home.locks, place.watcher
    left = {stage.key: stage for stage in todo}
    failed: dict[str, StageResult] = {}
    hopeless: set[str] = set()

    def is_made(stage: Stage) -> bool:
        return bench.store.has(stage.kind, stage.key)

    while left:
        holder: str | None = None
        for stage in (stage for stage in left.values() if is_ready(stage, left)):  # ends at the first that is run
            held = lock.acquire(locks, stage.key)
            if held is None:
                holder = lock.owner(locks, stage.key) or "another process"
                continue
            with held:
                # Where another process had more luck, with its input or with the stage itself, it is not broken.
                unmade = (failed[one] for one in stage.inputs if one in failed and not is_made(failed[one].stage))
                broken = None if is_made(stage) else next(unmade, None)
                try:
                    result = not_reached(stage, broken) if broken else _run(stage, bench, place)
                    give_back(bench.device)
                except CorruptArtifact as damage:
                    bench.store.set_aside(damage.kind, damage.key, damage.what)
                    left = {**{again.key: again for again in plan.upstream(damage.key, bench.store.has)}, **left}
                    break
                if result.status == "failed":
                    failed[stage.key] = result
                del left[stage.key]
                watcher.ended(result)
                yield result  # under its lock: the next to hold it finds the stage recorded, too
            break
        else:
            watcher.waiting(holder or "another process")
            if not _helped(plan, left, bench, place, hopeless):
                time.sleep(_POLL_SECONDS)
        bench.on_safe_point()
    waited = False
    # Once more after the last wait: between two stages a process holds no lock for a moment.
    while (holder := _at_work(failed, locks)) is not None or waited:
        waited = holder is not None
        watcher.waiting(holder or "another process")
        time.sleep(_POLL_SECONDS)
        bench.on_safe_point()


def _helped(plan: Plan, left: dict[str, Stage], bench: Workbench, place: Workplace, hopeless: set[str]) -> bool:
    """Craft shards of a stage that another process holds, and tell whether there were any; note where that failed."""
    locks = place.home.locks
    for stage in left.values():
        if stage.key in hopeless or not is_ready(stage, left) or not may_be_helped(stage, plan.card, bench.device):
            continue
        if not lock.is_held(locks, stage.key):
            continue
        try:
            with place.stop.on_a_stage():
                at_it = replace(claiming(bench, stage, locks), on_progress=_taking_part(stage, place.watcher))
                made = help_with(stage, at_it, partial(lock.is_held, locks, stage.key))
        except Stopped:
            raise
        except DiskError as error:
            if not isinstance(error.__cause__, FileNotFoundError):  # else the draft went: it is finished, or begun anew
                raise
            continue
        except (Exception, SystemExit):  # who makes it meets the same, and says so
            hopeless.add(stage.key)
            continue
        finally:
            give_back(bench.device)
        if made:
            return True
    return False


def _taking_part(stage: Stage, watcher: Watcher) -> Callable[[float], None]:
    """Return what tells of a stage that another process runs, once there is something that this one does in it."""
    told = False

    def tell(fraction: float) -> None:
        nonlocal told
        if not told:
            watcher.started(stage)
            told = True
        watcher.progress(fraction)

    return tell


def _at_work(failed: Iterable[str], locks: Path) -> str | None:
    """Return another process that tries one of the stages which failed here."""
    held = next((key for key in failed if lock.is_held(locks, key)), None)
    return None if held is None else lock.owner(locks, held) or "another process"


def is_ready(stage: Stage, left: dict[str, Stage]) -> bool:
    """Tell whether none of the stages that are `left` makes what this one reads."""
    return not any(upstream in left for upstream in stage.inputs)


def not_reached(stage: Stage, broken: StageResult) -> StageResult:
    """Return the end of a stage that cannot begin, as what it reads is `broken`."""
    now = time.time()
    reason = f"{broken.stage.label} failed: {broken.reason}"
    return StageResult(stage, "failed", now, now, reason=reason, cause=broken.cause or broken.stage.label)


def _run(stage: Stage, bench: Workbench, place: Workplace) -> StageResult:
    started = time.time()
    if bench.store.has(stage.kind, stage.key):  # another process made it meanwhile
        return finished(stage, bench.store)
    place.watcher.started(stage)
    try:
        with place.stop.on_a_stage():
            meta = run_stage(stage, claiming(bench, stage, place.home.locks))
    except (CorruptArtifact, DiskError, Stopped):
        raise
    except (Exception, SystemExit) as error:  # a plug-in that ends Python ends its own cells
        said = str(error) if isinstance(error, SepbenchError) else f"{type(error).__name__}: {error}"
        reason = said.splitlines()[0]
        _keep_traceback(place.home.logs, stage, error)
        return StageResult(stage, "failed", started, time.time(), reason=reason)
    return StageResult(stage, "done", started, time.time(), meta=meta)


def traceback_of(stage: Stage, logs: Path) -> Path:
    """Return the file in the home's `logs` that the traceback of a stage goes to where it fails."""
    return logs / f"{stage.kind}-{stage.key[:16]}.log"


def _keep_traceback(logs: Path, stage: Stage, error: BaseException) -> None:
    path = traceback_of(stage, logs)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{stage.label}\n{''.join(traceback.format_exception(error))}", encoding="utf-8")
    except OSError:
        _LOG.warning("the traceback of %s could not be written to %s", stage.label, path)
