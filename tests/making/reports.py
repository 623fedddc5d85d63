"""Reports of stages as sepbench sends them to MLflow, and what is found of them there."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from bench.record.record import Record
from bench.record.tracking import DatasetRef, StageReport
from bench.record.tracking.connection import connected
from tests.making import records as made_records

STARTED = 1_700_000_000.25


def make_record(key: str, **changes: Any) -> Record:
    fields = {
        "experiment": "quick",
        "recipe": "cpu-small",
        "method_params": {"checkpoints": 3, "step_size": 0.1},
        "surrogate_keys": ("a" * 64, "b" * 64),
        "protected_key": "c" * 64,
        "train_sha256": "d" * 64,
        "test_sha256": "e" * 64,
        "test_acc": 100 / 3,
        "test_acc_per_class": (0.1, 99.9),
        "started": "2026-01-02T03:04:05Z",
    }
    return made_records.record(key=key, **(fields | changes))


def make_report(number: int = 1, **changes: Any) -> StageReport:
    key = f"{number:064x}"
    report = StageReport(
        kind="victim",
        key=key,
        started=STARTED,
        ended=STARTED + 2.5,
        status="done",
        params={
            "label": "victim sep linf-8 · resnet8 · plain · seed 0",
            "recipe.epochs": 3,
            "recipe.lr": 0.1,
            "recipe.flip": True,
            "limit": None,
        },
        tags={"method": "sep", "victim": "resnet8", "defense": "plain", "seed": "0"},
        metrics={"final/test_acc": 100 / 3, "cost/train_seconds": 2.0},
        curves={"train/loss": [2.5, 1.25, 0.5], "test/acc": [10.0, 20.0, 100 / 3]},
        datasets=[
            DatasetRef("digits protected", "training", "ab" * 32),
            DatasetRef("digits", "testing", "cd" * 32),
        ],
        record=make_record(key),
    )
    return replace(report, **changes)


def file_name(number: int) -> str:
    """Return what the report of that number is called in the outbox."""
    return f"victim-{number:064x}-1700000000250.json"


def runs_of(uri: str, experiment: str = "quick") -> list[Any]:
    with connected(uri) as client:
        found = client.get_experiment_by_name(experiment)
        return list(client.search_runs([found.experiment_id])) if found else []


def children(uri: str, experiment: str = "quick") -> list[Any]:
    return [run for run in runs_of(uri, experiment) if "mlflow.parentRunId" in run.data.tags]


def parents(uri: str, experiment: str = "quick") -> list[Any]:
    return [run for run in runs_of(uri, experiment) if "mlflow.parentRunId" not in run.data.tags]


def waiting(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "outbox").rglob("*") if path.is_file())


def artifact(run: Any, name: str) -> str:
    return (Path(unquote(run.info.artifact_uri.removeprefix("file://"))) / name).read_text(encoding="utf-8")
