"""The ends of a run's stages, whoever ran them: processes on one home share the work."""

from collections.abc import Generator, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

from bench.core.errors import Stopped
from bench.plan.plan import Plan
from bench.plan.stage import Stage, StageResult
from bench.run.executors.executor import Executor, Workplace
from bench.store import lock
from bench.store.artifacts import CorruptArtifact, Store


def ends(
    plan: Plan, todo: list[Stage], unrecorded: list[Stage], executor: Executor, place: Workplace
) -> Generator[StageResult, None, None]:
    """Yield the end of every stage once, whoever ran it; one that failed here and then came about elsewhere ends again.

    What is yielded is this process's alone until the next is asked for: close the generator where none will be.

    Parameters
    ----------
    todo
        Stages without an artifact, in an order in which each can run.
    unrecorded
        Stages that were finished before and of which others may be about to leave a record.

    Raises
    ------
    Stopped
        The run was asked to stop; what others have finished until then has been yielded.

    """
    store, locks = place.home.store, place.home.locks
    told: set[str] = set()
    for result in finished_meanwhile(unrecorded, store, locks):
        told.add(result.stage.key)
        yield result
    left = {stage.key: stage for stage in todo}
    stopped: Stopped | None = None
    try:
        with closing(executor.execute(plan, todo, place)) as results:
            for result in results:
                if result.status == "done":
                    left.pop(result.stage.key, None)
                yield result
    except Stopped as stop:
        stopped = stop
    for result in finished_meanwhile(list(left.values()), store, locks):
        place.watcher.ended(result)
        yield result
    held_before = [stage for stage in unrecorded if stage.key not in told]
    yield from finished_meanwhile(held_before, store, locks)
    if stopped is not None:
        raise stopped


def finished_meanwhile(stages: list[Stage], store: Store, locks: Path) -> Iterator[StageResult]:
    """Yield those of the stages that are finished and that nobody holds, each under its lock."""
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


def finished(stage: Stage, store: Store) -> StageResult:
    """Return the result of a stage whose artifact another process made, now or in a run before."""
    meta = store.meta(stage.kind, stage.key)
    started = datetime.fromisoformat(meta["provenance"]["started"]).timestamp()
    return StageResult(stage, "done", started, started + meta["seconds"], meta=meta, elsewhere=True)
