"""The three kinds of work: train a surrogate, craft a protected set, train a victim on it."""

import resource
from typing import Any

import torch

from bench.crafting import checkpoint_name, craft
from bench.data.images import ImageSet
from bench.device import precision
from bench.judge import confusion, outcome
from bench.memory import keep_freed_memory
from bench.mixture import seen_by_victim
from bench.networks import build_network
from bench.plan import CraftJob, Stage, TrainJob
from bench.provenance import provenance
from bench.seeds import derive
from bench.store import Draft
from bench.training import History, Labelled, predict, train
from bench.workbench import Workbench


def run_stage(stage: Stage, bench: Workbench) -> dict[str, Any]:
    """Do the work of a stage, leave its artifact in the store and return its meta data."""
    draft = bench.store.draft(stage.kind, stage.key)
    _reset_peak_memory(bench.device)
    if bench.device.type == "cpu":
        keep_freed_memory()
    job = stage.job
    if isinstance(job, CraftJob):
        meta, keep = craft(job, bench, draft)
    elif job.protected is None:
        meta, keep = _train_surrogate(job, bench, draft)
    else:
        meta, keep = _train_victim(job, job.protected, bench, draft)
    meta = {**meta, "label": stage.label, "peak_memory_mb": _peak_memory_mb(bench.device)}
    draft.commit(meta, keep)
    return meta


def _train_surrogate(job: TrainJob, bench: Workbench, draft: Draft) -> tuple[dict[str, Any], list[str]]:
    origin = provenance(bench.device, job.recipe.precision)
    _, history = _fit(job, bench, draft, bench.splits.train, keep_checkpoints=True)
    meta = {"history": history.to_dict(), "seconds": sum(history.seconds), "provenance": origin}
    return meta, [checkpoint_name(epoch) for epoch in range(job.recipe.epochs)]


def _train_victim(
    job: TrainJob, protected_key: str, bench: Workbench, draft: Draft
) -> tuple[dict[str, Any], list[str]]:
    origin = provenance(bench.device, job.recipe.precision)
    protected = bench.store.meta("craft", protected_key)
    images = bench.store.tensors("craft", protected_key, "protected")["images"]
    network, history = _fit(job, bench, draft, seen_by_victim(job, bench.splits, images))
    test = bench.splits.test
    judged = job.defenses.judged_epoch(history.test_acc)
    predicted = predict(network, test.images.to(bench.device), precision(bench.device, job.recipe.precision))
    matrix = confusion(predicted, test.labels.to(bench.device), len(test.classes))
    meta = {
        "history": history.to_dict(),
        "seconds": sum(history.seconds),
        "provenance": origin,
        "confusion": matrix.tolist(),
        "outcome": {
            **outcome(matrix[: bench.splits.judged_classes]),
            "peak_acc": max(history.test_acc),
            "train_acc": history.train_acc[judged],
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
    def build(images: torch.Tensor) -> torch.nn.Module:
        return build_network(
            job.architecture,
            len(data.classes),
            images,
            normalise=job.recipe.normalise,
            seed=derive(job.seed, "weights"),
            device=bench.device,
        )

    def on_epoch(history: History) -> None:
        bench.on_progress(len(history) / job.recipe.epochs)
        bench.on_safe_point()

    return train(
        build,
        _on(bench.device, data),
        _on(bench.device, bench.splits.test),
        job.recipe,
        job.defenses,
        derive(job.seed, "training"),
        draft=draft,
        keep_checkpoints=keep_checkpoints,
        compile=bench.compile,
        on_epoch=on_epoch,
    )


def _on(device: torch.device, data: ImageSet) -> Labelled:
    return Labelled(data.images.to(device), data.labels.to(device), len(data.classes))


def _reset_peak_memory(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _peak_memory_mb(device: torch.device) -> float:
    """Return the most GPU memory the stage held, or on a CPU the most the whole process held so far, in MiB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
