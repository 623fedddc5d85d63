"""Helping with a protected set that another process makes: crafting shards that it has not come to yet."""

import math
from collections.abc import Callable
from contextlib import suppress

import torch

from bench.data.loading import DataCard
from bench.plan.checkpoints import weights_of
from bench.plan.stage import CraftJob, Stage
from bench.run.stages.craft import MADE_OF, is_made, made_by
from bench.run.stages.crafter import Crafter
from bench.run.stages.shards import shard_size
from bench.run.stages.workbench import Workbench
from bench.store.artifacts import CorruptArtifact
from bench.store.draft import Draft

_CPU = torch.device("cpu")


def may_be_helped(stage: Stage, card: DataCard, device: torch.device = _CPU) -> bool:
    """Tell whether a stage crafts several shards with networks: without any it is done before help has come."""
    job = stage.job
    if not isinstance(job, CraftJob) or not job.checkpoints:
        return False
    method = job.method.build()
    return method.per_sample and most_helpers(card, device) > 0


def most_helpers(card: DataCard, device: torch.device = _CPU) -> int:
    """Return how many processes besides the first have a shard to craft."""
    return math.ceil(card.n_protected / shard_size((card.height, card.width), device)) - 1


def help_with(stage: Stage, bench: Workbench, is_at_work: Callable[[], bool] = lambda: True) -> int:
    """Craft shards of a stage that another process has begun, the last ones first; return how many.

    What is made lies in the draft of the stage, where the other process finds it. Nothing is done where that has
    other weights of the surrogates, or works on another kind of device or with other threads than this one.

    Parameters
    ----------
    is_at_work
        Tells whether the other process still is: else there is nobody to help, and the stage is for who comes first.

    Raises
    ------
    Stopped
        `bench.on_safe_point` asked for it, after a shard.

    """
    job, draft = stage.job, bench.store.draft(stage.kind, stage.key)
    assert isinstance(job, CraftJob)
    crafter, made = Crafter(job, bench), 0

    def open_() -> bool:
        return not bench.store.has(stage.kind, stage.key) and _is_alike(job, bench, draft, crafter.size)

    if not open_():
        return 0
    for start in reversed(crafter.starts):
        if not is_at_work():
            break
        with bench.claim(crafter.name(start)) as mine:
            # In this order: once the set is finished, its draft goes.
            if not mine or is_made(draft, crafter.name(start)) or not open_():
                continue
            crafter.begin()
            there = sum(is_made(draft, crafter.name(other)) for other in crafter.starts)
            crafter.put(start, draft, there, open_)
            made += 1
        bench.on_safe_point()
    return made


def _is_alike(job: CraftJob, bench: Workbench, draft: Draft, size: int) -> bool:
    """Tell whether who has begun the set has the same weights, shards, and kind of device."""
    with suppress(KeyError, CorruptArtifact):
        weights, by = weights_of(job.checkpoints, bench.store), made_by(bench, size)
        return draft.info(MADE_OF) == {"weights": weights, "by": by}
    return False
