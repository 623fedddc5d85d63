"""The records of an experiment as MLflow keeps them: what tables are compiled from."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from bench.core.errors import SepbenchError
from bench.record.record import Record
from bench.record.tracking.address import sqlite_file, without_password
from bench.record.tracking.connection import cause, connected
from bench.record.tracking.runs import (
    ENDED,
    RECORD_FILE,
    RECORD_TAG,
    all_runs,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_INSTEAD = "or read records without MLflow by --records DIR"


def records(uri: str, experiment: str) -> list[Record]:
    """Return the record of every victim run of `experiment`, the newest of each key, profile and overrides.

    Raises `SepbenchError` where MLflow cannot be read or has no such experiment.
    """
    where = without_password(uri)
    missing = SepbenchError(f"MLflow at {where} has no experiment '{experiment}': run it first, {_INSTEAD}")
    database = sqlite_file(uri)
    if database is not None and not database.exists():
        raise missing
    try:
        with connected(uri) as client:
            found = client.get_experiment_by_name(experiment)
            if found is None or found.lifecycle_stage != "active":
                raise missing
            runs = all_runs(client, found.experiment_id, "tags.stage = 'victim'")
            found_records = [_record(client, run) for run in runs if run.info.status in ENDED]
            # The same victim may stand in a run as asked for and in one with overrides: two records, not one.
            return list({(one.key, one.profile, one.overrides): one for one in found_records}.values())
    except SepbenchError:
        raise
    except Exception as error:
        raise SepbenchError(
            f"MLflow at {where} cannot be read ({cause(error)}): check MLFLOW_TRACKING_URI, {_INSTEAD}"
        ) from error


def _record(client: "MlflowClient", run: "Run") -> Record:
    document = run.data.tags.get(RECORD_TAG)
    if document is None:
        with tempfile.TemporaryDirectory() as folder:
            document = Path(client.download_artifacts(run.info.run_id, RECORD_FILE, folder)).read_text("utf-8")
    try:
        return Record.model_validate_json(document)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the document"
        raise SepbenchError(
            f"MLflow run {run.info.run_id} holds no valid record ({field}: {first['msg'].lower()}): "
            f"delete that run, {_INSTEAD}"
        ) from error
