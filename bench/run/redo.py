"""Running finished stages again, as `--force` asks for it or checkpoints are missing, and what came of that."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.core.registry import UnknownName
from bench.plan.checkpoints import lacks
from bench.plan.plan import Plan, taken_by
from bench.plan.stage import KINDS, Stage
from bench.store import lock
from bench.store.artifacts import Store
from bench.store.home import Home

_REASON = "run again by --force"


def check_stage_kinds(kinds: Sequence[str]) -> None:
    """Raise `UnknownName` for what is no kind of stage."""
    for kind in kinds:
        if kind not in KINDS:
            raise UnknownName("stage of --force", kind, KINDS)


def redo(plan: Plan, kinds: Sequence[str], store: Store) -> None:
    """Set the finished artifacts of whole kinds of stages aside, with everything made from them, to run them again."""
    outdated: set[str] = set()
    for stage in plan.stages.values():  # inputs come before what is made from them
        if stage.kind in kinds or outdated.intersection(stage.inputs):
            outdated.add(stage.key)
            store.set_aside(stage.kind, stage.key, _REASON)


def make_room(todo: Sequence[Stage], home: Home) -> None:
    """Set those surrogates aside that stages to run need to be trained again: with checkpoints that were not kept."""
    parts = taken_by(todo)
    for key in (stage.key for stage in todo if stage.kind == "surrogate" and home.store.has("surrogate", stage.key)):
        held = lock.acquire(home.locks, key)
        if held is not None:  # else another process is about to train it
            with held:
                of_it = (part for part in parts if part.surrogate == key)
                if home.store.has("surrogate", key) and any(lacks(part, home.store) for part in of_it):
                    home.store.set_aside("surrogate", key, "it was kept without checkpoints that are now needed")


def came_out_other(stages: Iterable[Stage], store: Store) -> list[str]:
    """Return a sentence on each protected set that is not what it was before `--force` put it aside."""
    found = []
    for stage in stages:
        before = store.meta_aside(stage.kind, stage.key, _REASON) if stage.kind == "craft" else None
        if before is None or not store.has(stage.kind, stage.key):
            continue
        now = store.meta(stage.kind, stage.key)
        if now["sha256"] != before["sha256"]:
            found.append(
                f"{stage.name}, crafted anew by --force, is not what it was ({before['sha256'][:8]} before, "
                f"{now['sha256'][:8]} now): {_why(now, before)}"
            )
    return found


def _why(now: Mapping[str, Any], before: Mapping[str, Any]) -> str:
    if now.get("sources", {}) != before.get("sources", {}):
        return "its source has changed; raise the version of what you change, so that no old result is taken for a new"
    if now.get("doubt"):
        return str(now["doubt"])
    ours, theirs = now["provenance"], before["provenance"]
    for field in ("version", "torch", "device"):
        if ours[field] != theirs[field]:
            return f"it was made with another {field} ({theirs[field]} before, {ours[field]} now)"
    threads = theirs.get("threads"), ours.get("threads")  # those of before may not say
    if None not in threads and threads[0] != threads[1]:
        return f"it was made by another number of threads ({threads[0]} before, {threads[1]} now), see OMP_NUM_THREADS"
    processors = theirs.get("processor"), ours.get("processor")
    if None not in processors and processors[0] != processors[1]:
        return f"it was made on another processor ({processors[0]} before, {processors[1]} now), which rounds otherwise"
    if not ours["deterministic"]:
        return "GPUs round differently from run to run"
    if ours["git_sha"] != theirs["git_sha"]:
        return (
            f"that may be sepbench, which was at another commit ({theirs['git_sha']} before, {ours['git_sha']} now), "
            f"or its method is not deterministic"
        )
    return "with the same source, parameters and seed its method is not deterministic; draw from ctx.generator() alone"
