"""Sending to MLflow, later and once, what it did not take while the benchmark ran."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.record.tracking import outbox
from bench.record.tracking.address import without_password
from bench.record.tracking.connection import cause, connected
from bench.record.tracking.report import StageReport
from bench.record.tracking.runs import (
    ENDED,
    close_dead,
    find_or_create_experiment,
    identity,
    log_stage,
    open_parent,
    stage_runs,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# Writing one run takes seconds; a run open for longer than this belongs to a process that is gone.
_WRITING_SECONDS = 600


@dataclass(frozen=True)
class SyncResult:
    """How many reports were sent, how many stay in the outbox and why, how many MLflow had already."""

    sent: int
    left: int
    already: int
    reason: str | None = None


class _Left(Exception):  # noqa: N818 - not an error: this report stays where it is
    """This report cannot be sent now; others may be."""


def sync(uri: str, folder: Path) -> SyncResult:
    """Send every report in the outbox `folder` to MLflow, one parent run named "sync" per experiment.

    Can be repeated: a report whose run is complete is only removed, a half-written run is written anew.
    Raises nothing for MLflow's troubles: the result tells what stays and why.
    """
    waiting = list(outbox.waiting(folder))
    total = sum(len(paths) for _, paths in waiting)
    done: Counter[str] = Counter()
    reason = None
    try:
        for experiment, paths in waiting:
            with connected(uri) as client:
                for outcome in _send_all(client, uri, experiment, paths):
                    if isinstance(outcome, _Left):
                        reason = str(outcome)
                    else:
                        done[outcome] += 1
    except Exception as error:
        reason = f"MLflow at {without_password(uri)} takes no reports: {cause(error)}"
    return SyncResult(done["sent"], total - done.total(), done["already"], reason)


def _send_all(client: "MlflowClient", uri: str, experiment: str, paths: list[Path]) -> Iterator[str | _Left]:
    experiment_id = find_or_create_experiment(client, uri, experiment)
    close_dead(client, experiment_id)
    runs = stage_runs(client, experiment_id)
    parent_id = None
    for path in paths:
        try:
            report = StageReport.from_json(path.read_bytes())
            if _is_complete(client, runs.get(identity(report)), path):
                outcome = "already"
            else:
                parent_id = parent_id or open_parent(client, experiment_id, "sync", {})
                log_stage(client, experiment_id, parent_id, report)
                outcome = "sent"
        except _Left as error:
            yield error
        except Exception as error:
            # Raises where MLflow is away: then the other reports need not be tried.
            client.get_experiment(experiment_id)
            yield _Left(f"{path} is refused: {cause(error)}")
        else:
            outbox.remove(path)
            yield outcome
    if parent_id is not None:
        client.set_terminated(parent_id)


def _is_complete(client: "MlflowClient", run: "Run | None", path: Path) -> bool:
    if run is None:
        return False
    if run.info.status in ENDED:
        return True
    if run.info.status == "RUNNING" and time.time() - path.stat().st_mtime < _WRITING_SECONDS:
        raise _Left(f"{path} is still being sent by the process that made it: try again in ten minutes")
    client.delete_run(run.info.run_id)
    return False
