"""Crafting a protected set: shard by shard where images are independent, resumable between shards."""

import logging
import time
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from bench.contracts.method import METHODS, Method, total_passes
from bench.data.images import ImageSet
from bench.engine.release import audit
from bench.plan.checkpoints import are_rounded, weights_of
from bench.plan.plugin_sources import Sources, sources_of
from bench.plan.stage import CraftJob
from bench.record.provenance import machine_name, provenance
from bench.run.stages.crafter import Crafter
from bench.run.stages.kept_rounds import KeptRounds
from bench.run.stages.second_look import IMAGES, SECONDS, second_look
from bench.run.stages.shards import range_of_shard
from bench.run.stages.workbench import Workbench
from bench.store.draft import Draft

MADE_OF = "made-of"
"""What unfinished work remembers the weights of its surrogates by, and who works on it."""

_LOG = logging.getLogger("sepbench")
_LOOK_SECONDS = 0.2
"""Between two looks at what those do who help."""


def craft(job: CraftJob, bench: Workbench, draft: Draft) -> tuple[dict[str, Any], list[str]]:
    """Craft what `draft` does not hold yet; return the artifact's meta data and the names of its files.

    Other processes may help, see `bench.run.stages.helping`: what they have taken is waited for.
    """
    origin = provenance(bench.device, getattr(job.method.params, "precision", "auto"))
    crafter = Crafter(job, bench, KeptRounds(draft))
    method, starts = crafter.method, crafter.starts
    clean, positions = bench.splits.train, bench.splits.to_protect
    if job.checkpoints:
        _begin_anew_where_other(draft, weights_of(job.checkpoints, bench.store), job, made_by(bench, crafter.size))
    finished = set(draft.names())
    left = [start for start in starts if crafter.name(start) not in finished]
    mine: list[int] = []
    for start in _taking(left, crafter, bench, draft):
        done = len(starts) - len(left)
        crafter.put(start, draft, done)
        mine.append(start)
        left.remove(start)
        if left:  # else there is nothing left to stop: what is finished is kept
            bench.on_safe_point()
    doubt = _doubt(crafter, bench, draft, mine[0]) if mine and bench.looks_twice else None
    names = [crafter.name(start) for start in starts]
    protected = replace(clean, images=clean.images.clone())
    for start, name in zip(starts, names, strict=True):
        protected.images[positions[start : start + crafter.size]] = draft.tensors(name)["images"]
    draft.put("protected", {"images": protected.images, "labels": protected.labels})
    meta = {
        "sha256": protected.sha256,
        "audit": audit(clean.images[positions], protected.images[positions], bench.device).to_dict()
        | dict(crafter.spent),
        "passes": _passes(method, draft.info(names[0]), positions, clean),
        "seconds": sum(draft.info(name)["seconds"] for name in names),
        "upstream_seconds": sum(bench.store.meta("surrogate", part.surrogate)["seconds"] for part in job.checkpoints),
        "provenance": origin,
        "sources": _sources(job, bench),
        **({} if doubt is None else {"doubt": doubt, "reproducible": False}),
        **({"rounded_checkpoints": True, "reproducible": False} if are_rounded(job.checkpoints, bench.store) else {}),
    }
    return meta, ["protected"]


def _taking(left: list[int], crafter: Crafter, bench: Workbench, draft: Draft) -> Iterator[int]:
    """Yield each shard that is left while this process has it to itself; drop from `left` what others have made."""
    alone = len(crafter.starts) == 1
    while left:
        taken = False
        for start in [*left]:
            with nullcontext(True) if alone else bench.claim(crafter.name(start)) as mine:
                if not mine:
                    continue
                taken = True
                if is_made(draft, crafter.name(start)):
                    left.remove(start)
                else:
                    crafter.begin()
                    yield start
        if not taken:
            bench.on_safe_point()
            time.sleep(_LOOK_SECONDS)


def is_made(draft: Draft, name: str) -> bool:
    """Tell whether a shard can be read back."""
    with suppress(KeyError):
        draft.info(name)
        return True
    return False


def made_by(bench: Workbench, size: int) -> list[Any]:
    """Return what decides which shards a process crafts, and their last bits: only who has the same may help."""
    threads = torch.get_num_threads() if bench.device.type == "cpu" else 0
    return [machine_name(bench.device), size, threads]


def _begin_anew_where_other(draft: Draft, weights: str, job: CraftJob, by: list[Any]) -> None:
    """Drop unfinished work that was made from other weights of the same key: no protected set is of two ensembles.

    Note who works on it now.
    """
    try:
        told = draft.info(MADE_OF)
    except KeyError:
        told = {}
    made_of = told.get("weights")
    if made_of != weights and (made_of is not None or any(map(range_of_shard, draft.names()))):
        _LOG.warning(
            "the unfinished work on %s %s was made from other weights of its surrogate than these: it begins anew",
            job.method_label,
            job.budget or "",
        )
        draft.discard()
    if (made_of, told.get("by")) != (weights, by):
        draft.put(MADE_OF, {}, {"weights": weights, "by": by})


def _passes(method: Method, info: dict[str, Any], positions: Tensor, clean: ImageSet) -> float:
    """Return what crafting cost: of a method that trains, and may stop before its last round, as it was counted."""
    return info["spent"] / len(clean) if method.trains else total_passes(method, len(positions), len(clean))


def _doubt(crafter: Crafter, bench: Workbench, draft: Draft, start: int) -> str | None:
    """Return what a second look at a method of others has found."""
    name, per_sample, info = crafter.job.method.name, crafter.method.per_sample, draft.info(crafter.name(start))
    if METHODS.origin(name) is None or (not per_sample and info["seconds"] > SECONDS):
        return None
    # What follows tells of no progress, and keeps nothing, or it would go on where it ended.
    crafter.context.on_step, crafter.context.keeper = lambda fraction: None, None
    if info["seconds"] <= SECONDS:  # what it prepared may be what chance had a part in
        crafter.prepare_again()
    released = draft.tensors(crafter.name(start))["images"]
    count = min(IMAGES, len(released)) if per_sample else len(released)
    # By itself is by itself: what the few make of each other is nearer to what all do. GPUs round too differently then.
    exact = bench.device.type == "cpu"
    each = 1 if per_sample and exact else count
    clean = bench.splits.train.images[bench.splits.to_protect[start : start + count]]

    def again() -> Tensor:
        return crafter.again(start, count, each)

    return second_look(name, clean, released[:count], again, per_sample=per_sample, exact=exact)


def _sources(job: CraftJob, bench: Workbench) -> Sources:
    """Return what of others made the surrogates, and crafts."""
    surrogates = (bench.store.meta("surrogate", part.surrogate) for part in job.checkpoints)
    found = {name: source for meta in surrogates for name, source in meta.get("sources", {}).items()}
    return {**found, **bench.sources, **sources_of(job)}
