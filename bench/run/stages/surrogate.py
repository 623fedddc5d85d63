"""Training a surrogate: a network on the clean images, whose checkpoints are kept."""

import logging
from collections.abc import Collection
from typing import Any

from bench.plan.checkpoints import checkpoint_name, kept_epochs
from bench.plan.cost import weight_bytes
from bench.plan.plugin_sources import sources_of
from bench.plan.stage import SurrogateJob
from bench.record.provenance import provenance
from bench.run.stages.fit import fit
from bench.run.stages.workbench import Workbench
from bench.store.artifacts import LEFT_OUT
from bench.store.draft import Draft

_LOG = logging.getLogger("sepbench")


def train_surrogate(job: SurrogateJob, bench: Workbench, draft: Draft) -> tuple[dict[str, Any], list[str]]:
    """Train what `draft` does not hold yet; return the artifact's meta data and the names of its checkpoints."""
    origin = provenance(bench.device, job.recipe.precision)
    clean, trained = bench.splits.train, job.recipe.epochs
    weights = weight_bytes(job.architecture, len(clean.classes), *clean.images.shape[-2:])
    wanted = kept_epochs(job.asked, trained, weights)
    epochs = range(trained) if wanted is None else wanted  # all, while nobody knows which will have improved
    _begin_anew_without(draft, epochs)
    _, history = fit(
        job, job.defenses, clean, bench, draft, lambda epoch: checkpoint_name(epoch) if epoch in epochs else None
    )
    kept = kept_epochs(job.asked, trained, weights, history.test_acc) or range(trained)
    names = [checkpoint_name(epoch) for epoch in kept]
    left_out = [name for epoch in range(trained) if (name := checkpoint_name(epoch)) not in names]
    meta = {
        "history": history.to_dict(),
        "seconds": sum(history.seconds),
        "provenance": origin,
        "sources": {**bench.sources, **sources_of(job)},
        **({LEFT_OUT: left_out} if left_out else {}),
    }
    return meta, names


def _begin_anew_without(draft: Draft, epochs: Collection[int]) -> None:
    """Drop unfinished training that went by an epoch without its checkpoint: it was begun for other methods."""
    there = set(draft.names())
    if "state" not in there:
        return
    done = len(draft.info("state")["history"]["train_loss"])
    if any(checkpoint_name(epoch) not in there for epoch in epochs if epoch < done):
        _LOG.warning("the unfinished training in %s has not kept all checkpoints needed: it begins anew", draft.folder)
        draft.discard()
