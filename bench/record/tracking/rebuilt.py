"""Reports made anew from the home's records and artifacts, for an MLflow that never had them or has lost them."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from bench.core.disk import DiskError
from bench.core.errors import SepbenchError
from bench.core.norms import budget_text
from bench.record.record import Record, read_record, record_files
from bench.record.tracking.report import DatasetRef, StageReport
from bench.store.artifacts import CorruptArtifact
from bench.store.home import Home

_TAGS = ("recipe", "dataset", "seed", "method", "norm", "budget", "victim", "defense")
_OUTCOME = ("test_acc", "peak_acc", "train_acc", "relabelled_acc", "n_test", "epochs")
_CURVES = {"train_loss": "train/loss", "train_acc": "train/acc", "test_acc": "test/acc"}


def kept_records(home: Home) -> dict[str, list[Record]]:
    """Return the records that the home keeps, by experiment; those that cannot be read are left to `run`."""
    kept: dict[str, list[Record]] = {}
    folder = home.root / "records"
    for path in record_files(folder) if folder.is_dir() else ():
        with suppress(SepbenchError):
            made = read_record(path)
            kept.setdefault(made.experiment, []).append(made)
    return kept


def rebuilt_report(made: Record, home: Home) -> StageReport:
    """Return the report of a victim as far as its record tells it, with its curves where the store has them."""
    started = datetime.fromisoformat(made.started).timestamp()
    history = _history(made, home)
    return StageReport(
        kind="victim",
        key=made.key,
        started=started,
        ended=started + (made.train_seconds or 0.0),
        status=made.status,
        reason=made.reason,
        params=_params(made),
        tags={name: str(getattr(made, name)) for name in _TAGS if getattr(made, name) is not None},
        metrics=dict(_metrics(made)),
        curves={shown: history[name] for name, shown in _CURVES.items() if name in history},
        datasets=list(_datasets(made)),
        record=made,
    )


def reports_upstream(made: Record, home: Home) -> Iterator[StageReport]:
    """Yield the reports of what a victim rests on, surrogates first, as far as the store has it and tells."""
    crafted = [] if made.protected_key is None else [("craft", made.protected_key)]
    for kind, key in [*(("surrogate", one) for one in made.surrogate_keys), *crafted]:
        with suppress(CorruptArtifact, DiskError, KeyError, TypeError, ValueError):
            yield _upstream(kind, key, made, home.store.meta(kind, key))


def _upstream(kind: str, key: str, made: Record, meta: Mapping[str, Any]) -> StageReport:
    started = datetime.fromisoformat(meta["provenance"]["started"]).timestamp()
    measured = {f"cost/{name}": meta[name] for name in ("seconds", "passes", "peak_memory_mb") if name in meta}
    measured |= {f"audit/{name}": value for name, value in meta.get("audit", {}).items() if value is not None}
    method = {"method": made.method} if kind == "craft" else {}
    fields = ("recipe", "dataset", *(("method", "norm", "budget") if kind == "craft" else ()))
    return StageReport(
        kind="craft" if kind == "craft" else "surrogate",
        key=key,
        started=started,
        ended=started + meta["seconds"],
        status="done",
        params={"label": meta.get("label", f"{kind} {key[:10]}"), "recipe.name": made.recipe, **method},
        tags={name: str(getattr(made, name)) for name in fields if getattr(made, name) is not None},
        metrics={name: float(value) for name, value in measured.items()},
        curves={shown: meta["history"][name] for name, shown in _CURVES.items() if name in meta.get("history", {})},
        datasets=[DatasetRef(made.dataset, "training", made.train_sha256)] if made.clean_images == 0 else [],
    )


def _history(made: Record, home: Home) -> Mapping[str, Any]:
    with suppress(CorruptArtifact, DiskError, KeyError):
        history: Mapping[str, Any] = home.store.meta("victim", made.key)["history"]
        return history
    return {}


def _params(made: Record) -> dict[str, Any]:
    budget = [] if made.norm is None else [budget_text(made.norm, made.budget)]
    attacked = " ".join([made.method, *budget])
    return {
        "label": f"victim {attacked} · {made.victim} · {made.defense} · seed {made.seed}",
        "seed": made.seed,
        "recipe.name": made.recipe,
        "architecture": made.victim,
        "defense": made.defense,
        "method": made.method,
        **{f"method.{name}": str(value) for name, value in made.method_params.items()},
    }


def _metrics(made: Record) -> Iterator[tuple[str, float]]:
    named = {f"final/{name}": name for name in _OUTCOME}
    named |= {"cost/seconds": "train_seconds", "cost/peak_memory_mb": "peak_memory_mb"}
    for shown, name in named.items():
        if getattr(made, name) is not None:
            yield shown, float(getattr(made, name))


def _datasets(made: Record) -> Iterator[DatasetRef]:
    if made.protected_sha256 is not None:
        yield DatasetRef(f"{made.dataset}-protected", "training", made.protected_sha256)
    yield DatasetRef(made.dataset, "testing", made.test_sha256)
