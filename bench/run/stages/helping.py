"""Helping with a protected set that another process makes: crafting shards that it has not come to yet."""

import math
from contextlib import suppress

import torch

from bench.data.loading import DataCard
from bench.engine.background import in_background
from bench.plan.checkpoints import weights_of
from bench.plan.stage import CraftJob, Stage
from bench.run.stages.craft import MADE_OF
from bench.run.stages.crafter import Crafter
from bench.run.stages.shards import shard_size
from bench.run.stages.workbench import Workbench
from bench.store.artifacts import CorruptArtifact, Draft

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


def help_with(stage: Stage, bench: Workbench) -> int:
    """Craft shards of a stage that another process has begun, the last ones first; return how many.

    What is made lies in the draft of the stage, where the other process finds it. Nothing is done where that has
    begun with other weights of the surrogates than these.

    Raises
    ------
    Stopped
        `bench.on_safe_point` asked for it, after a shard.

    """
    job, draft = stage.job, bench.store.draft(stage.kind, stage.key)
    assert isinstance(job, CraftJob)
    if not _is_of_these_weights(job, bench, draft):
        return 0
    crafter, made = Crafter(job, bench), 0
    with in_background(draft, meanwhile=bench.device.type == "cuda") as kept_in:
        for start in reversed(crafter.starts):
            with bench.claim(crafter.name(start)) as mine:
                # In this order: once the set is finished, its draft goes.
                if not mine or draft.holds(crafter.name(start)) or bench.store.has(stage.kind, stage.key):
                    continue
                crafter.begin()
                crafter.put(start, kept_in, lambda fraction: None)
                kept_in.wait()  # before another may take it
                made += 1
            bench.on_safe_point()
    return made


def _is_of_these_weights(job: CraftJob, bench: Workbench, draft: Draft) -> bool:
    with suppress(KeyError, CorruptArtifact):
        return bool(draft.info(MADE_OF)["weights"] == weights_of(job.checkpoints, bench.store))
    return False
