"""Training a victim on released images, and judging it on clean ones."""

from typing import Any

from bench.core.device import precision
from bench.engine.judge import confusion, outcome
from bench.engine.training import predict
from bench.plan.mixture import protected_of_victim, seen_by_victim
from bench.plan.plugin_sources import sources_of
from bench.plan.stage import VictimJob
from bench.record.provenance import machine_of, provenance
from bench.run.stages.fit import fit
from bench.run.stages.workbench import Workbench
from bench.store.draft import Draft

_OF_PROTECTED = ("sha256", "audit", "passes", "seconds", "upstream_seconds", "reproducible", "rounded_checkpoints")


def train_victim(job: VictimJob, bench: Workbench, draft: Draft) -> tuple[dict[str, Any], list[str]]:
    """Train what `draft` does not hold yet and judge it; return the artifact's meta data, and no files to keep."""
    origin = provenance(bench.device, job.recipe.precision)
    protected = bench.store.meta("craft", job.protected)
    images = bench.store.tensors("craft", job.protected, "protected")["images"]
    as_stored = None if job.recipe.augment_protected else protected_of_victim(job, bench.splits)
    seen = seen_by_victim(job, bench.splits, images)
    network, history = fit(job, job.defenses, seen, bench, draft, as_stored=as_stored)
    test = bench.splits.test
    judged = job.defenses.judged_epoch(history.test_acc)
    number_format = precision(bench.device, job.recipe.precision)
    predicted = predict(network, test.images.to(bench.device), number_format, judged)
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
        "sources": {**protected.get("sources", {}), **bench.sources, **sources_of(job)},
        "protected": {
            **{field: protected[field] for field in _OF_PROTECTED if field in protected},
            "crafted_on": machine_of(protected["provenance"]),
        },
    }
    return meta, []
