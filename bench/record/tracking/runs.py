"""The runs of one MLflow experiment: opened, filled from a report, listed, closed for the dead."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import process
from bench.record.tracking import signs
from bench.record.tracking.address import artifact_location
from bench.record.tracking.files import Files
from bench.record.tracking.report import StageReport

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Metric, Param, Run

logger = logging.getLogger("sepbench")

RECORD_TAG = "sepbench.record"
_HOST, _PID, _STARTED = "sepbench.host", "sepbench.pid", "sepbench.process_started"
_PID_SPACE = "sepbench.pid_space"
RECORD_FILE = "record.json"
ENDED = {"FINISHED", "FAILED"}
_PAGE = 1000
# MLflow's page opens an experiment of this kind on its training runs instead of on traces of language models.
_OPENS_AS = {"mlflow.experimentKind": "custom_model_development"}

_LONGEST_NAME = 250
"""Of a run, in characters: databases behind MLflow take no more."""


def find_or_create_experiment(client: "MlflowClient", uri: str, name: str) -> str:
    """Return the id of the experiment `name`; one that was deleted is restored, with a warning.

    MLflow keeps the name of a deleted experiment, so that no other can have it.
    """
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, artifact_location(uri, name), _OPENS_AS))
        except MlflowException as error:
            # Two first runs at the same moment: the other one was faster.
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        client.restore_experiment(found.experiment_id)
        logger.warning("the MLflow experiment '%s' was deleted: it is restored with its runs, to take reports", name)
    return str(found.experiment_id)


def open_parent(client: "MlflowClient", experiment_id: str, name: str, tags: Mapping[str, str]) -> str:
    """Open a parent run that starts now and return its id."""
    from mlflow.utils.validation import MAX_TAG_VAL_LENGTH

    short = {key: _cut(value, MAX_TAG_VAL_LENGTH) for key, value in tags.items()}
    run = client.create_run(experiment_id, tags={**short, **_own_tags()}, run_name=_cut(name, _LONGEST_NAME))
    return str(run.info.run_id)


def log_stage(client: "MlflowClient", experiment_id: str, parent_id: str, report: StageReport, files: Files) -> None:
    """Write one child run, whole: it ends FINISHED or FAILED once all the rest is in it, else KILLED.

    Its record is left to `files`, which keep it where MLflow takes numbers and no files.
    """
    run = client.create_run(
        experiment_id,
        start_time=_milliseconds(report.started),
        tags=_tags(report, parent_id),
        run_name=str(report.params.get("label", f"{report.kind} {report.key[:10]}")),
    )
    run_id = run.info.run_id
    try:
        client.log_batch(run_id, metrics=_metrics(report), params=_params(report), synchronous=True)
        _log_inputs(client, run_id, _datasets(report))
        if report.record is not None:
            files.log(client, run_id, RECORD_FILE, report.record.to_json().encode())
        client.set_terminated(
            run_id,
            status="FINISHED" if report.status == "done" else "FAILED",
            end_time=_milliseconds(report.ended),
        )
    except Exception:
        with suppress(Exception):
            client.set_terminated(run_id, status="KILLED")
        raise


def identity(report: StageReport) -> tuple[str, str, int]:
    """Return what tells a report's run from all others, other attempts at the same stage included."""
    return report.kind, report.key, _milliseconds(report.started)


def is_there(client: "MlflowClient", experiment_id: str, report: StageReport) -> bool:
    """Tell whether the run of a report is in MLflow, whole."""
    of_stage = f"tags.`stage` = '{report.kind}' AND tags.`key` = '{report.key}'"
    return any(
        run.info.start_time == _milliseconds(report.started) and run.info.status in ENDED
        for run in all_runs(client, experiment_id, of_stage)
    )


def stage_runs(client: "MlflowClient", experiment_id: str) -> dict[tuple[str, str, int], "Run"]:
    """Return every child run of an experiment by its `identity`; of two, the one that has ended."""
    runs = sorted(all_runs(client, experiment_id), key=lambda run: run.info.status in ENDED)
    return {
        (run.data.tags["stage"], run.data.tags["key"], run.info.start_time): run
        for run in runs
        if {"stage", "key"} <= run.data.tags.keys()
    }


def all_runs(client: "MlflowClient", experiment_id: str, where: str = "") -> Iterator["Run"]:
    """Yield the runs of an experiment that MLflow's filter `where` lets through, oldest start first."""
    token = None
    while True:
        page = client.search_runs(
            [experiment_id], where, max_results=_PAGE, order_by=["start_time ASC"], page_token=token
        )
        yield from page
        token = page.token
        if not token:
            return


def close_dead(client: "MlflowClient", experiment_id: str, locks: Path) -> None:
    """End the runs that a killed process left open as KILLED; in doubt it lives.

    Its sign of life in the home's `locks` tells, or else its number, where that can be looked up here.
    """
    dead = [run for run in all_runs(client, experiment_id, "status = 'RUNNING'") if _is_dead(run, locks)]
    for run in dead:
        client.set_terminated(run.info.run_id, status="KILLED")
    signs.clear(locks, (run.info.run_id for run in dead))


def _tags(report: StageReport, parent_id: str) -> dict[str, str]:
    from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
    from mlflow.utils.validation import MAX_TAG_VAL_LENGTH

    tags = {**report.tags, "stage": report.kind, "key": report.key, "status": report.status}
    if report.reason is not None:
        tags["reason"] = report.reason
    tags = {name: _cut(value, MAX_TAG_VAL_LENGTH) for name, value in tags.items()}
    record = report.record.model_dump_json() if report.record is not None else ""
    if 0 < len(record) <= MAX_TAG_VAL_LENGTH:
        tags[RECORD_TAG] = record
    return {**tags, **_own_tags(), MLFLOW_PARENT_RUN_ID: parent_id}


def _own_tags() -> dict[str, str]:
    """Return the tags that name this process."""
    pid = os.getpid()
    started = str(process.started_at(pid) or "")
    return {_HOST: process.host(), _PID_SPACE: process.pid_space(), _PID: str(pid), _STARTED: started}


def _is_dead(run: "Run", locks: Path) -> bool:
    from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

    tags = run.data.tags
    alive = signs.is_alive(locks, tags.get(MLFLOW_PARENT_RUN_ID, run.info.run_id))
    if alive is not None:
        return not alive
    if tags.get(_PID_SPACE) != process.pid_space():
        return False
    started = tags.get(_STARTED)
    return not process.is_alive(int(tags[_PID]), int(started) if started else None)


def _params(report: StageReport) -> list["Param"]:
    from mlflow.entities import Param
    from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH

    return [Param(name, _cut(str(value), MAX_PARAM_VAL_LENGTH)) for name, value in report.params.items()]


def _metrics(report: StageReport) -> list["Metric"]:
    from mlflow.entities import Metric

    ended = _milliseconds(report.ended)
    return [Metric(name, value, ended, 0) for name, value in report.metrics.items()] + [
        Metric(name, value, ended, epoch)
        for name, values in report.curves.items()
        for epoch, value in enumerate(values)
    ]


def _datasets(report: StageReport) -> list["DatasetInput"]:
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT
    from mlflow.utils.validation import MAX_DATASET_DIGEST_SIZE

    return [
        DatasetInput(
            Dataset(
                name=dataset.name,
                digest=dataset.digest[:MAX_DATASET_DIGEST_SIZE],
                source_type="sepbench",
                source=f'{{"sha256": "{dataset.digest}"}}',
            ),
            tags=[InputTag(MLFLOW_DATASET_CONTEXT, dataset.context), InputTag("sha256", dataset.digest)],
        )
        for dataset in report.datasets
    ]


def _log_inputs(client: "MlflowClient", run_id: str, datasets: list["DatasetInput"]) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.log_inputs(run_id, datasets)
    except MlflowException:
        # Where two processes are the first to name a data set, MLflow looks for both before it writes either.
        client.log_inputs(run_id, datasets)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
