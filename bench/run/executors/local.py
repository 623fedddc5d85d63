"""Stages one after the other in this process; other processes on the same store share the work."""

import logging
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from bench import lock
from bench.disk import DiskError
from bench.errors import SepbenchError, Stopped
from bench.plan import Plan, Stage
from bench.stages import run_stage
from bench.store import CorruptArtifact, Store
from bench.workbench import Workbench

_LOG = logging.getLogger("sepbench")
_POLL_SECONDS = 1.0


@dataclass(frozen=True)
class StageResult:
    """A stage that ended; `meta` is its artifact's, `reason` says why it failed. Times are Unix seconds.

    `elsewhere` is set where another process made the artifact while this one waited or did other work.
    """

    stage: Stage
    status: Literal["done", "failed"]
    started: float
    ended: float
    meta: dict[str, Any] | None = None
    reason: str | None = None
    elsewhere: bool = False


class Watcher(Protocol):
    """Who is told how the run goes."""

    def started(self, stage: Stage) -> None:
        """A stage begins."""

    def progress(self, fraction: float) -> None:
        """The stage that runs is done to this fraction."""

    def ended(self, result: StageResult) -> None:
        """A stage ended."""

    def waiting(self, owner: str) -> None:
        """All that is left is being worked on by another process."""


def execute(
    plan: Plan, todo: list[Stage], bench: Workbench, locks: Path, logs: Path, watcher: Watcher
) -> Iterator[StageResult]:
    """Run stages in an order in which each finds its inputs, and yield each when it has ended.

    A stage that fails takes along only those that read its artifact; the end waits for other processes that try
    it again. A damaged artifact is set aside and made again. A stage that another process holds is left to it.
    What is yielded is this process's alone until the next is asked for: close the generator where none will be.

    Raises
    ------
    Stopped
        `bench.on_safe_point` asked for it.
    DiskError
        The disk refuses to be written to.

    """
    bench = replace(bench, on_progress=watcher.progress)
    left = {stage.key: stage for stage in todo}
    failed: dict[str, StageResult] = {}

    def is_made(stage: Stage) -> bool:
        return bench.store.has(stage.kind, stage.key)

    while left:
        holder: str | None = None
        for stage in [stage for stage in left.values() if _ready(stage, left)]:
            held = lock.acquire(locks, stage.key)
            if held is None:
                holder = lock.owner(locks, stage.key) or "another process"
                continue
            with held:
                # Where another process had more luck, with its input or with the stage itself, it is not broken.
                unmade = (failed[one] for one in stage.inputs if one in failed and not is_made(failed[one].stage))
                broken = None if is_made(stage) else next(unmade, None)
                try:
                    result = _not_reached(stage, broken) if broken else _run(stage, bench, logs, watcher)
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
            time.sleep(_POLL_SECONDS)
        bench.on_safe_point()
    waited = False
    # Once more after the last wait: between two stages a process holds no lock for a moment.
    while (holder := _at_work(failed, locks)) is not None or waited:
        waited = holder is not None
        watcher.waiting(holder or "another process")
        time.sleep(_POLL_SECONDS)
        bench.on_safe_point()


def finished(stage: Stage, store: Store) -> StageResult:
    """Return the result of a stage whose artifact another process made, now or in a run before."""
    meta = store.meta(stage.kind, stage.key)
    started = datetime.fromisoformat(meta["provenance"]["started"]).timestamp()
    return StageResult(stage, "done", started, started + meta["seconds"], meta=meta, elsewhere=True)


def finished_meanwhile(stages: list[Stage], store: Store, locks: Path) -> Iterator[StageResult]:
    """Yield those of the stages that are finished, each under its lock as `execute` does."""
    for stage in stages:
        held = lock.acquire(locks, stage.key) if store.has(stage.kind, stage.key) else None
        if held is not None:
            with held:
                try:
                    result = finished(stage, store)
                except CorruptArtifact as damage:
                    store.set_aside(damage.kind, damage.key, damage.what)
                    continue
                yield result


def _at_work(failed: Iterable[str], locks: Path) -> str | None:
    """Return another process that tries one of the stages which failed here."""
    held = next((key for key in failed if lock.is_held(locks, key)), None)
    return None if held is None else lock.owner(locks, held) or "another process"


def _ready(stage: Stage, left: dict[str, Stage]) -> bool:
    return not any(upstream in left for upstream in stage.inputs)


def _not_reached(stage: Stage, broken: StageResult) -> StageResult:
    now = time.time()
    return StageResult(stage, "failed", now, now, reason=f"{broken.stage.label} failed: {broken.reason}")


def _run(stage: Stage, bench: Workbench, logs: Path, watcher: Watcher) -> StageResult:
    started = time.time()
    if bench.store.has(stage.kind, stage.key):  # another process made it meanwhile
        return finished(stage, bench.store)
    watcher.started(stage)
    try:
        meta = run_stage(stage, bench)
    except (CorruptArtifact, DiskError, Stopped):
        raise
    except Exception as error:
        said = str(error) if isinstance(error, SepbenchError) else f"{type(error).__name__}: {error}"
        reason = said.splitlines()[0]
        _keep_traceback(logs, stage, error)
        return StageResult(stage, "failed", started, time.time(), reason=reason)
    return StageResult(stage, "done", started, time.time(), meta=meta)


def _keep_traceback(logs: Path, stage: Stage, error: Exception) -> None:
    path = logs / f"{stage.kind}-{stage.key[:16]}.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{stage.label}\n{''.join(traceback.format_exception(error))}", encoding="utf-8")
    except OSError:
        _LOG.warning("the traceback of %s could not be written to %s", stage.label, path)
