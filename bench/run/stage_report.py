"""What the experiment log is told of a stage that ended."""

from typing import Any

from bench.plan.plan import Plan, PlannedCell
from bench.plan.stage import CraftJob, Stage, StageResult, VictimJob
from bench.record.record import Record
from bench.record.tracking import DatasetRef, StageReport
from bench.spec.axes import AXES
from bench.spec.names import as_text


def stage_report(plan: Plan, result: StageResult, planned: PlannedCell | None, made: Record | None) -> StageReport:
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
            for axis in AXES.values()
            for name in axis.fields
            if axis.usual is None and cell.get(name) is not None
        }
    elif isinstance(job, CraftJob):
        tags["method"] = job.method.known_as
        if job.budget is not None:
            size = {} if job.budget.size is None else {"budget": as_text(job.budget.size)}
            tags |= {"norm": job.budget.norm, **size}
    else:
        tags["surrogate"] = job.architecture
    return tags


def _params(plan: Plan, stage: Stage, planned: PlannedCell | None) -> dict[str, Any]:
    job = stage.job
    params: dict[str, Any] = {"label": stage.label, "seed": job.seed}
    if not isinstance(job, CraftJob):
        params |= _dotted("recipe", {"name": job.recipe.name, **job.recipe.training_fields()})
        params |= {"architecture": job.architecture}
        params |= {"defense": str(job.defenses) if isinstance(job, VictimJob) else "plain"}
    method = planned.cell.method if planned else job.method if isinstance(job, CraftJob) else None
    if method is not None:
        params |= {"method": method.known_as, **_dotted("method", method.params_json())}
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
