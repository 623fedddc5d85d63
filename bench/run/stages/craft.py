"""Crafting a protected set: shard by shard where images are independent, resumable between shards."""

import logging
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from bench.contracts.budget import UNLIMITED, Budget
from bench.contracts.context import CraftContext
from bench.contracts.method import METHODS, CraftData, Method, total_passes
from bench.contracts.promises import BrokenPromise, check_crafted, check_left_alone
from bench.core.device import sent
from bench.core.seeds import derive
from bench.data.images import ImageSet, Splits
from bench.engine.background import in_background
from bench.engine.brought import check_spent, kept
from bench.engine.release import BudgetExceeded, audit, release
from bench.plan.checkpoints import are_rounded, load_checkpoints, weights_of
from bench.plan.plugin_sources import Sources, sources_of
from bench.plan.stage import CraftJob
from bench.record.provenance import provenance
from bench.run.stages.kept_rounds import KeptRounds
from bench.run.stages.second_look import IMAGES, SECONDS, second_look
from bench.run.stages.workbench import Workbench
from bench.store.artifacts import Draft

SHARD = 1024
"""Images of 32x32 that are crafted, and kept, at a time. Part of no key: their number does not change the bytes."""

_LOG = logging.getLogger("sepbench")
_SMALLEST_SHARD = 64
_MADE_OF = "made-of"

_PROCESSORS, _LARGEST = 32, 4
"""Of a GPU, for which a shard is enough, and how many times it a larger one gets at most: on fewer images it waits for
Python between kernels. A small GPU would take too long from one shard to the next."""


def craft(job: CraftJob, bench: Workbench, draft: Draft) -> tuple[dict[str, Any], list[str]]:
    """Craft what `draft` does not hold yet; return the artifact's meta data and the names of its files."""
    origin = provenance(bench.device, getattr(job.method.params, "precision", "auto"))
    method = job.method.build()
    clean, positions = bench.splits.train, bench.splits.to_protect
    size = shard_size(clean.images.shape[-2:], bench.device) if method.per_sample else len(positions)
    starts = range(0, len(positions), size)
    if job.checkpoints:
        _begin_anew_where_other(draft, weights_of(job.checkpoints, bench.store), job)
    finished = set(draft.names())
    todo = [start for start in starts if _shard_name(start, size) not in finished]
    began, rounds = time.perf_counter(), None if method.per_sample else KeptRounds(draft)
    brought = kept(bench.store, method.brought.sha256) if method.brought else None
    spent = method.brought.spent if method.brought else {}
    if spent:  # at the size that the files have: pixels that were resized for training tell less
        check_spent(spent, job.budget)
    budget = None if spent else job.budget
    ctx = CraftContext(
        surrogates=[list(load_checkpoints(part, clean, bench.store, bench.device)) for part in job.checkpoints]
        if todo
        else [],
        seed=derive(job.seed, "craft"),
        device=bench.device,
        images=len(clean),
        brought=brought,
        architecture=job.architecture or "",
        keeper=rounds,
        on_round=bench.on_safe_point,
    )
    if todo:
        method.prepare(
            lambda: shards(bench.splits, shard_size(clean.images.shape[-2:], bench.device), bench.device), ctx
        )
    with in_background(draft, meanwhile=bench.device.type == "cuda") as kept_in:
        for start in todo:
            done = starts.index(start)
            ctx.on_step = lambda fraction, done=done: bench.on_progress((done + fraction) / len(starts))  # type: ignore[misc]
            released = _released(method, job, budget, bench, ctx, start, size)
            seconds, began = time.perf_counter() - began, time.perf_counter()
            info = {"seconds": seconds if rounds is None else rounds.seconds, "spent": ctx.spent}
            kept_in.put(_shard_name(start, size), {"images": released}, info)
            bench.on_progress((done + 1) / len(starts))
            if start != todo[-1]:  # else there is nothing left to stop: what is finished is kept
                bench.on_safe_point()
    doubt = _doubt(method, job, bench, ctx, draft, todo[0], size) if todo and bench.looks_twice else None
    names = [_shard_name(start, size) for start in starts]
    protected = replace(clean, images=clean.images.clone())
    for start, name in zip(starts, names, strict=True):
        protected.images[positions[start : start + size]] = draft.tensors(name)["images"]
    draft.put("protected", {"images": protected.images, "labels": protected.labels})
    meta = {
        "sha256": protected.sha256,
        "audit": audit(clean.images[positions], protected.images[positions], bench.device).to_dict() | dict(spent),
        "passes": _passes(method, draft.info(names[0]), positions, clean),
        "seconds": sum(draft.info(name)["seconds"] for name in names),
        "upstream_seconds": sum(bench.store.meta("surrogate", part.surrogate)["seconds"] for part in job.checkpoints),
        "provenance": origin,
        "sources": _sources(job, bench),
        **({} if doubt is None else {"doubt": doubt, "reproducible": False}),
        **({"rounded_checkpoints": True, "reproducible": False} if are_rounded(job.checkpoints, bench.store) else {}),
    }
    return meta, ["protected"]


def _begin_anew_where_other(draft: Draft, weights: str, job: CraftJob) -> None:
    """Drop unfinished work that was made from other weights of the same key: no protected set is of two ensembles."""
    try:
        made_of = draft.info(_MADE_OF)["weights"]
    except KeyError:
        made_of = None  # just begun, or by an earlier version
    if made_of not in (None, weights):
        _LOG.warning(
            "the unfinished work on %s %s was made from other weights of its surrogate than these: it begins anew",
            job.method_label,
            job.budget or "",
        )
        draft.discard()
    if made_of != weights:
        draft.put(_MADE_OF, {}, {"weights": weights})


def _passes(method: Method, info: dict[str, Any], positions: Tensor, clean: ImageSet) -> float:
    """Return what crafting cost: of a method that trains, and may stop before its last round, as it was counted."""
    return info["spent"] / len(clean) if method.trains else total_passes(method, len(positions), len(clean))


def _released(
    method: Method, job: CraftJob, budget: Budget | None, bench: Workbench, ctx: CraftContext, start: int, size: int
) -> Tensor:
    """Return the bytes that a method makes of some images; raises `BrokenPromise` where it makes none of them.

    `budget` is what the bytes are held to; None for images that were brought, and audited as their files are.
    """
    name, data = job.method.name, _shard(bench.splits, start, size, bench.device)
    crafted = method.craft(data, job.budget or UNLIMITED, ctx)
    given = _shard(bench.splits, start, size, bench.device)
    check_left_alone(name, {field: (getattr(data, field), getattr(given, field)) for field in ("x", "y", "index")})
    check_crafted(name, given.x, crafted)
    original = sent(bench.splits.train.images[given.index], bench.device)
    try:
        return release(original, crafted, budget, method.rounding)
    except BudgetExceeded as error:
        raise BrokenPromise(
            f"the method '{name}' leaves its budget in craft: {error}; end with budget.project(data.x, images)"
        ) from error


def _doubt(
    method: Method, job: CraftJob, bench: Workbench, ctx: CraftContext, draft: Draft, start: int, size: int
) -> str | None:
    """Return what a second look at a method of others has found."""
    name, info = job.method.name, draft.info(_shard_name(start, size))
    if METHODS.origin(name) is None or (not method.per_sample and info["seconds"] > SECONDS):
        return None
    if info["seconds"] <= SECONDS:  # what it prepared may be what chance had a part in
        method = job.method.build()
        size_of_parts = shard_size(bench.splits.train.images.shape[-2:], bench.device)
        method.prepare(lambda: shards(bench.splits, size_of_parts, bench.device), ctx)
    released = draft.tensors(_shard_name(start, size))["images"]
    count = min(IMAGES, len(released)) if method.per_sample else len(released)
    # By itself is by itself: what the few make of each other is nearer to what all do. GPUs round too differently then.
    exact = bench.device.type == "cpu"
    each = 1 if method.per_sample and exact else count
    clean = bench.splits.train.images[bench.splits.to_protect[start : start + count]]
    ctx.on_step, ctx.keeper = lambda fraction: None, None  # or it would go on from where it ended

    def again() -> Tensor:
        parts = range(start, start + count, each)
        return torch.cat([_released(method, job, job.budget, bench, ctx, part, each) for part in parts]).cpu()

    return second_look(name, clean, released[:count], again, per_sample=method.per_sample, exact=exact)


def _sources(job: CraftJob, bench: Workbench) -> Sources:
    """Return what of others made the surrogates, and crafts."""
    surrogates = (bench.store.meta("surrogate", part.surrogate) for part in job.checkpoints)
    found = {name: source for meta in surrogates for name, source in meta.get("sources", {}).items()}
    return {**found, **bench.sources, **sources_of(job)}


def shard_size(size: Sequence[int], device: torch.device) -> int:
    """Return how many images of a height and width make a shard: `SHARD` of 32x32 or as many pixels, more on a GPU."""
    height, width = size
    most = SHARD * _times(device)
    return max(min(most, most * 32 * 32 // (height * width)), min(_SMALLEST_SHARD, SHARD))


def _times(device: torch.device) -> int:
    if device.type != "cuda":
        return 1
    processors = torch.cuda.get_device_properties(device).multi_processor_count
    return min(max(processors // _PROCESSORS, 1), _LARGEST)


def shards(splits: Splits, size: int, device: torch.device) -> Iterator[CraftData]:
    """Yield all images that are to be protected on `device`, `size` at a time."""
    for start in range(0, len(splits.to_protect), size):
        yield _shard(splits, start, size, device)


def _shard(splits: Splits, start: int, size: int, device: torch.device) -> CraftData:
    part = splits.to_protect[start : start + size]
    return CraftData(
        x=sent(splits.train.images[part], device).float() / 255,
        y=sent(splits.train.labels[part], device),
        classes=splits.judged_classes,
        index=part,
    )


def range_of_shard(name: str) -> slice | None:
    """Return which of the images to protect a file of unfinished work holds; None where it is no shard."""
    found = re.fullmatch(r"shard-(\d+)-(\d+)", name)
    return slice(int(found[1]), int(found[1]) + int(found[2])) if found else None


def _shard_name(start: int, size: int) -> str:
    return f"shard-{start:07d}-{size}"
