"""Training a surrogate: a network on the clean images, every epoch of which is kept."""

from typing import Any

from bench.plan.checkpoints import checkpoint_name
from bench.plan.plugin_sources import sources_of
from bench.plan.stage import SurrogateJob
from bench.record.provenance import provenance
from bench.run.stages.fit import fit
from bench.run.stages.workbench import Workbench
from bench.store.artifacts import Draft


def train_surrogate(job: SurrogateJob, bench: Workbench, draft: Draft) -> tuple[dict[str, Any], list[str]]:
    """Train what `draft` does not hold yet; return the artifact's meta data and the names of its checkpoints."""
    origin = provenance(bench.device, job.recipe.precision)
    _, history = fit(job, job.defenses, bench.splits.train, bench, draft, checkpoint_name)
    meta = {
        "history": history.to_dict(),
        "seconds": sum(history.seconds),
        "provenance": origin,
        "sources": {**bench.sources, **sources_of(job)},
    }
    return meta, [checkpoint_name(epoch) for epoch in range(job.recipe.epochs)]
