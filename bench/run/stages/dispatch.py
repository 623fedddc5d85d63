"""From a stage to the function that does its work."""

from typing import Any

import torch

from bench.core.giving_up import interruptible
from bench.engine.memory import keep_freed_memory, peak_memory_mb
from bench.plan.stage import CraftJob, Stage, SurrogateJob, VictimJob
from bench.run.stages.craft import craft
from bench.run.stages.surrogate import train_surrogate
from bench.run.stages.victim import train_victim
from bench.run.stages.workbench import Workbench
from bench.store.draft import Draft


def run_stage(stage: Stage, bench: Workbench) -> dict[str, Any]:
    """Do the work of a stage, leave its artifact in the store and return its meta data."""
    draft = bench.store.draft(stage.kind, stage.key)
    _reset_peak_memory(bench.device)
    if bench.device.type == "cpu":
        keep_freed_memory()
    meta, keep = _work(stage, bench, draft)
    meta = {**meta, "label": stage.label, "peak_memory_mb": _peak_memory_mb(bench.device)}
    draft.commit(meta, keep)
    return meta


def _work(stage: Stage, bench: Workbench, draft: Draft) -> tuple[dict[str, Any], list[str]]:
    """Return the artifact's meta data, and the names of those files of the draft that are kept."""
    match stage.job:
        case SurrogateJob():
            with interruptible():
                return train_surrogate(stage.job, bench, draft)
        case CraftJob():
            return craft(stage.job, bench, draft)
        case VictimJob():
            with interruptible():
                return train_victim(stage.job, bench, draft)


def _reset_peak_memory(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _peak_memory_mb(device: torch.device) -> float:
    """Return the most GPU memory the stage held, or on a CPU the most the whole process held so far, in MiB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return peak_memory_mb()
