"""The three kinds of work: train a surrogate, craft a protected set, train a victim on it."""

import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from bench.data.images import ImageSet, Splits
from bench.judge import confusion, outcome
from bench.method import CraftContext, CraftData
from bench.networks import Network, build_network
from bench.plan import Checkpoints, CraftJob, Stage, TrainJob
from bench.provenance import provenance
from bench.release import audit, release
from bench.seeds import derive
from bench.store import Draft, Store
from bench.training import History, Labelled, predict, train

SHARD = 1024
"""Images that are crafted, and kept, at a time. Part of no key: their number does not change the bytes."""


@dataclass(frozen=True)
class Workbench:
    """What every stage works with.

    Attributes
    ----------
    splits
        The clean data set, on the CPU.
    on_progress
        Called with the finished fraction of the stage at each epoch, shard and step.
    on_safe_point
        Called where everything done so far has been saved; may raise `Stopped`.

    """

    splits: Splits
    store: Store
    device: torch.device
    on_progress: Callable[[float], None] = lambda fraction: None
    on_safe_point: Callable[[], None] = lambda: None


def run_stage(stage: Stage, bench: Workbench) -> dict[str, Any]:
    """Do the work of a stage, leave its artifact in the store and return its meta data."""
    draft = bench.store.draft(stage.kind, stage.key)
    _reset_peak_memory(bench.device)
    job = stage.job
    if isinstance(job, CraftJob):
        meta, keep = _craft(job, bench, draft)
    elif job.protected is None:
        meta, keep = _train_surrogate(job, bench, draft)
    else:
        meta, keep = _train_victim(job, job.protected, bench, draft)
    meta = {**meta, "label": stage.label, "peak_memory_mb": _peak_memory_mb(bench.device)}
    draft.commit(meta, keep)
    return meta


def _train_surrogate(job: TrainJob, bench: Workbench, draft: Draft) -> tuple[dict[str, Any], list[str]]:
    origin = provenance(bench.device)
    _, history = _fit(job, bench, draft, bench.splits.train, keep_checkpoints=True)
    meta = {"history": history.to_dict(), "seconds": sum(history.seconds), "provenance": origin}
    return meta, [checkpoint_name(epoch) for epoch in range(job.recipe.epochs)]


def _train_victim(
    job: TrainJob, protected_key: str, bench: Workbench, draft: Draft
) -> tuple[dict[str, Any], list[str]]:
    origin = provenance(bench.device)
    protected = bench.store.meta("craft", protected_key)
    images = bench.store.tensors("craft", protected_key, "protected")["images"]
    released = replace(bench.splits.train, images=images)
    network, history = _fit(job, bench, draft, released)
    test = bench.splits.test
    matrix = confusion(predict(network, test.images.to(bench.device)), test.labels.to(bench.device), len(test.classes))
    meta = {
        "history": history.to_dict(),
        "seconds": sum(history.seconds),
        "provenance": origin,
        "confusion": matrix.tolist(),
        "outcome": {
            **outcome(matrix),
            "peak_acc": max(history.test_acc),
            "train_acc": history.train_acc[-1],
            "epochs": len(history),
        },
        "protected": {
            field: protected[field] for field in ("sha256", "audit", "passes", "seconds", "upstream_seconds")
        },
    }
    return meta, []


def _fit(
    job: TrainJob, bench: Workbench, draft: Draft, data: ImageSet, keep_checkpoints: bool = False
) -> tuple[torch.nn.Module, History]:
    network = build_network(
        job.architecture,
        len(data.classes),
        data.images,
        normalise=job.recipe.normalise,
        seed=derive(job.seed, "weights"),
        device=bench.device,
    )

    def on_epoch(history: History) -> None:
        bench.on_progress(len(history) / job.recipe.epochs)
        bench.on_safe_point()

    return train(
        network,
        _on(bench.device, data),
        _on(bench.device, bench.splits.test),
        job.recipe,
        job.defenses,
        derive(job.seed, "training"),
        draft=draft,
        keep_checkpoints=keep_checkpoints,
        on_epoch=on_epoch,
    )


def _craft(job: CraftJob, bench: Workbench, draft: Draft) -> tuple[dict[str, Any], list[str]]:
    origin = provenance(bench.device)
    method = job.method.build()
    clean = bench.splits.train
    size = SHARD if method.per_sample else len(clean)
    starts = range(0, len(clean), size)
    finished = set(draft.names())
    todo = [start for start in starts if _shard_name(start, size) not in finished]
    began = time.perf_counter()
    ctx = CraftContext(
        surrogates=[list(_checkpoints(part, bench)) for part in job.checkpoints] if todo else [],
        seed=derive(job.seed, "craft"),
        device=bench.device,
    )
    if todo:
        method.prepare(lambda: _shards(clean, SHARD, bench.device), ctx)
    for start in todo:
        done = starts.index(start)
        ctx.on_step = lambda fraction, done=done: bench.on_progress((done + fraction) / len(starts))  # type: ignore[misc]
        shard = _shard(clean, start, size, bench.device)
        crafted = method.craft(shard, job.budget, ctx)
        released = release(clean.images[start : start + size].to(bench.device), crafted, job.budget)
        seconds, began = time.perf_counter() - began, time.perf_counter()
        draft.put(_shard_name(start, size), {"images": released}, {"seconds": seconds})
        bench.on_progress((done + 1) / len(starts))
        bench.on_safe_point()
    names = [_shard_name(start, size) for start in starts]
    protected = replace(clean, images=torch.cat([draft.tensors(name)["images"] for name in names]))
    draft.put("protected", {"images": protected.images, "labels": protected.labels})
    meta = {
        "sha256": protected.sha256,
        "audit": audit(clean.images, protected.images).to_dict(),
        "passes": method.passes(),
        "seconds": sum(draft.info(name)["seconds"] for name in names),
        "upstream_seconds": sum(bench.store.meta("surrogate", part.surrogate)["seconds"] for part in job.checkpoints),
        "provenance": origin,
    }
    return meta, ["protected"]


def checkpoint_name(epoch: int) -> str:
    """Return the name under which a surrogate's artifact holds the weights after a 0-based epoch."""
    return f"epoch-{epoch:03d}"


def _checkpoints(part: Checkpoints, bench: Workbench) -> Iterator[Network]:
    clean = bench.splits.train
    for epoch in part.epochs:
        network = build_network(
            part.architecture, len(clean.classes), clean.images, normalise=False, seed=0, device=bench.device
        )
        network.load_state_dict(bench.store.tensors("surrogate", part.surrogate, checkpoint_name(epoch)))
        yield network.eval()


def _shards(clean: ImageSet, size: int, device: torch.device) -> Iterator[CraftData]:
    for start in range(0, len(clean), size):
        yield _shard(clean, start, size, device)


def _shard(clean: ImageSet, start: int, size: int, device: torch.device) -> CraftData:
    part = slice(start, start + size)
    return CraftData(
        x=clean.images[part].to(device).float() / 255,
        y=clean.labels[part].to(device),
        classes=len(clean.classes),
        index=torch.arange(len(clean))[part],
    )


def _shard_name(start: int, size: int) -> str:
    return f"shard-{start:07d}-{size}"


def _on(device: torch.device, data: ImageSet) -> Labelled:
    return Labelled(data.images.to(device), data.labels.to(device))


def _reset_peak_memory(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _peak_memory_mb(device: torch.device) -> float:
    """Return the most GPU memory the stage held, or on a CPU the most the whole process held so far, in MiB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
