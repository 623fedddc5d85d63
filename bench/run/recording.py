"""From the end of a stage to its record and its entry in the experiment log."""

from typing import Any

import torch

from bench.executors.local import StageResult
from bench.plan import CraftJob, Plan, PlannedCell, Stage, TrainJob
from bench.provenance import provenance
from bench.record import Record
from bench.tracking import DatasetRef, StageReport

_AUDITED = ("linf_levels", "l2", "l0", "psnr", "ssim")


def record(plan: Plan, planned: PlannedCell, meta: dict[str, Any]) -> Record:
    """Return the record of a finished victim from the meta data of its artifact."""
    protected = meta["protected"]
    return Record.model_validate(
        {
            **_identity(plan, planned),
            **meta["outcome"],
            **{field: protected["audit"][field] for field in _AUDITED},
            **meta["provenance"],
            "compiled": meta["history"].get("compiled", False),
            "status": "done",
            "test_acc_per_class": tuple(meta["outcome"]["test_acc_per_class"]),
            "protected_sha256": protected["sha256"],
            "craft_passes": protected["passes"],
            "craft_seconds": protected["seconds"],
            "surrogate_seconds": protected["upstream_seconds"],
            "train_seconds": meta["seconds"],
            "peak_memory_mb": meta["peak_memory_mb"],
        }
    )


def failed_record(plan: Plan, planned: PlannedCell, reason: str, device: torch.device) -> Record:
    """Return the record of a cell that failed, or whose surrogate or protected set did."""
    origin = provenance(device, plan.experiment.recipe.precision)
    return Record.model_validate({**_identity(plan, planned), **origin, "status": "failed", "reason": reason})


def report(plan: Plan, result: StageResult, planned: PlannedCell | None, made: Record | None) -> StageReport:
    """Return what MLflow is told of a stage; victims come with their cell and its record."""
    stage, meta = result.stage, result.meta or {}
    return StageReport(
        kind=stage.kind,
        key=stage.key,
        started=result.started,
        ended=result.ended,
        status=result.status,
        reason=result.reason,
        params=_params(plan, stage, planned),
        tags=_tags(plan, stage, planned, result.status),
        metrics=_metrics(meta),
        curves=_curves(meta),
        datasets=_datasets(plan, stage, meta),
        record=made,
    )


def _identity(plan: Plan, planned: PlannedCell) -> dict[str, Any]:
    experiment = plan.experiment
    return {
        "key": planned.victim,
        "experiment": experiment.name,
        "profile": experiment.profile,
        "overrides": experiment.overrides,
        "recipe": experiment.recipe.name,
        "dataset": experiment.dataset.name,
        "method_params": planned.cell.method.params_json(),
        **planned.cell.fields(),
        "surrogate_keys": planned.surrogates,
        "protected_key": planned.craft,
        "train_sha256": plan.card.train_sha256,
        "test_sha256": plan.card.test_sha256,
        "protected_classes": plan.card.protected_classes,
    }


def _tags(plan: Plan, stage: Stage, planned: PlannedCell | None, status: str) -> dict[str, str]:
    experiment, job = plan.experiment, stage.job
    tags = {
        "stage": stage.kind,
        "key": stage.key,
        "status": status,
        "recipe": experiment.recipe.name,
        "dataset": experiment.dataset.name,
        "seed": str(job.seed),
    }
    if planned is not None:
        cell = planned.cell.fields()
        tags |= {
            name: str(cell[name])
            for name in ("method", "victim", "defense", "norm", "budget")
            if cell[name] is not None
        }
    elif isinstance(job, CraftJob):
        tags["method"] = job.method.name
        if job.budget is not None:
            tags |= {"norm": job.budget.norm, "budget": f"{job.budget.size:g}"}
    else:
        tags["surrogate"] = job.architecture
    return tags


def _params(plan: Plan, stage: Stage, planned: PlannedCell | None) -> dict[str, Any]:
    job = stage.job
    params: dict[str, Any] = {"label": stage.label, "seed": job.seed}
    if isinstance(job, TrainJob):
        params |= _dotted("recipe", {"name": job.recipe.name, **job.recipe.training_fields()})
        params |= {"architecture": job.architecture, "defense": str(job.defenses)}
    method = planned.cell.method if planned else job.method if isinstance(job, CraftJob) else None
    if method is not None:
        params |= {"method": method.name, **_dotted("method", method.params_json())}
    return params


def _dotted(prefix: str, value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {
            name: leaf for field, item in value.items() for name, leaf in _dotted(f"{prefix}.{field}", item).items()
        }
    return {prefix: value if isinstance(value, str | int | float | bool | None) else str(value)}


def _metrics(meta: dict[str, Any]) -> dict[str, float]:
    metrics = {f"final/{name}": value for name, value in meta.get("outcome", {}).items() if not isinstance(value, list)}
    metrics |= {f"audit/{name}": value for name, value in meta.get("audit", {}).items() if value is not None}
    metrics |= {f"cost/{name}": meta[name] for name in ("seconds", "passes", "peak_memory_mb") if name in meta}
    return {name: float(value) for name, value in metrics.items()}


def _curves(meta: dict[str, Any]) -> dict[str, list[float]]:
    names = {"train_loss": "train/loss", "train_acc": "train/acc", "test_acc": "test/acc"}
    history = meta.get("history", {})
    return {shown: history[name] for name, shown in names.items() if name in history}


def _datasets(plan: Plan, stage: Stage, meta: dict[str, Any]) -> list[DatasetRef]:
    name = plan.experiment.dataset.name
    clean = DatasetRef(name, "training", plan.card.train_sha256)
    if stage.kind == "craft":
        return [clean]
    test = DatasetRef(name, "testing", plan.card.test_sha256)
    if stage.kind == "surrogate":
        return [clean, test]
    released = meta.get("protected", {}).get("sha256")
    return [DatasetRef(f"{name}-protected", "training", released), test] if released else [test]
