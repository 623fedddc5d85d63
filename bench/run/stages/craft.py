"""Crafting a protected set: shard by shard where images are independent, resumable between shards."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from bench.contracts.budget import UNLIMITED
from bench.contracts.method import CraftContext, CraftData
from bench.core.seeds import derive
from bench.data.images import ImageSet, Splits
from bench.engine.release import audit, release
from bench.plan.checkpoints import load_checkpoints
from bench.plan.stage import CraftJob
from bench.record.provenance import provenance
from bench.run.stages.workbench import Workbench
from bench.store.artifacts import Draft

SHARD = 1024
"""Images of 32x32 that are crafted, and kept, at a time. Part of no key: their number does not change the bytes."""

_SMALLEST_SHARD = 64


def craft(job: CraftJob, bench: Workbench, draft: Draft) -> tuple[dict[str, Any], list[str]]:
    """Craft what `draft` does not hold yet; return the artifact's meta data and the names of its files."""
    origin = provenance(bench.device)
    method = job.method.build()
    clean, positions = bench.splits.train, bench.splits.to_protect
    size = shard_size(clean) if method.per_sample else len(positions)
    starts = range(0, len(positions), size)
    finished = set(draft.names())
    todo = [start for start in starts if _shard_name(start, size) not in finished]
    began = time.perf_counter()
    ctx = CraftContext(
        surrogates=[list(load_checkpoints(part, clean, bench.store, bench.device)) for part in job.checkpoints]
        if todo
        else [],
        seed=derive(job.seed, "craft"),
        device=bench.device,
        images=len(clean),
    )
    if todo:
        method.prepare(lambda: shards(bench.splits, shard_size(clean), bench.device), ctx)
    for start in todo:
        done = starts.index(start)
        ctx.on_step = lambda fraction, done=done: bench.on_progress((done + fraction) / len(starts))  # type: ignore[misc]
        crafted = method.craft(_shard(bench.splits, start, size, bench.device), job.budget or UNLIMITED, ctx)
        original = clean.images[positions[start : start + size]].to(bench.device)
        released = release(original, crafted, job.budget, method.rounding)
        seconds, began = time.perf_counter() - began, time.perf_counter()
        draft.put(_shard_name(start, size), {"images": released}, {"seconds": seconds})
        bench.on_progress((done + 1) / len(starts))
        bench.on_safe_point()
    names = [_shard_name(start, size) for start in starts]
    protected = replace(clean, images=clean.images.clone())
    for start, name in zip(starts, names, strict=True):
        protected.images[positions[start : start + size]] = draft.tensors(name)["images"]
    draft.put("protected", {"images": protected.images, "labels": protected.labels})
    meta = {
        "sha256": protected.sha256,
        "audit": audit(clean.images[positions], protected.images[positions]).to_dict(),
        "passes": method.passes() * len(positions) / len(clean),
        "seconds": sum(draft.info(name)["seconds"] for name in names),
        "upstream_seconds": sum(bench.store.meta("surrogate", part.surrogate)["seconds"] for part in job.checkpoints),
        "provenance": origin,
    }
    return meta, ["protected"]


def shard_size(clean: ImageSet) -> int:
    """Return how many images make a shard: as many pixels as `SHARD` images of 32x32, within reason."""
    height, width = clean.images.shape[-2:]
    return max(min(SHARD, SHARD * 32 * 32 // (height * width)), min(_SMALLEST_SHARD, SHARD))


def shards(splits: Splits, size: int, device: torch.device) -> Iterator[CraftData]:
    """Yield all images that are to be protected on `device`, `size` at a time."""
    for start in range(0, len(splits.to_protect), size):
        yield _shard(splits, start, size, device)


def _shard(splits: Splits, start: int, size: int, device: torch.device) -> CraftData:
    part = splits.to_protect[start : start + size]
    return CraftData(
        x=splits.train.images[part].to(device).float() / 255,
        y=splits.train.labels[part].to(device),
        classes=splits.judged_classes,
        index=part,
    )


def _shard_name(start: int, size: int) -> str:
    return f"shard-{start:07d}-{size}"
