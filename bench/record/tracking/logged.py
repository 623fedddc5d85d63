"""The records of an experiment as MLflow keeps them: what tables are compiled from."""

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from bench.core.errors import SepbenchError
from bench.record.record import Record, record_of
from bench.record.tracking.address import sqlite_file, without_password
from bench.record.tracking.connection import cause, connected
from bench.record.tracking.runs import ENDED, RECORD_FILE, RECORD_TAG, all_runs

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

logger = logging.getLogger("sepbench")

_INSTEAD = "or read records without MLflow by --records DIR"


class NotLogged(SepbenchError):  # noqa: N818 - reads as what it is
    """MLflow has no such experiment."""


class Unreadable(SepbenchError):  # noqa: N818 - reads as what it is
    """MLflow, or a record there, cannot be read; `what` says so without what to do."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}: {remedy}, {_INSTEAD}")
        self.what = what


def records(uri: str, experiment: str) -> list[Record]:
    """Return the record of every victim run of `experiment`, the newest of each key, profile and overrides.

    Raises
    ------
    NotLogged
        MLflow has no such experiment, or has deleted it.
    Unreadable
        MLflow does not answer, or holds no valid record.

    """
    where = without_password(uri)
    missing = NotLogged(f"MLflow at {where} has no experiment '{experiment}': run it first, {_INSTEAD}")
    database = sqlite_file(uri)
    if database is not None and not database.exists():
        raise missing
    try:
        with connected(uri, reading=True) as client:
            found = client.get_experiment_by_name(experiment)
            if found is None or found.lifecycle_stage != "active":
                raise missing
            runs = all_runs(client, found.experiment_id, "tags.stage = 'victim'")
            logged = [_record(client, run) for run in runs if run.info.status in ENDED]
            # The same victim may stand in a run as asked for and in one with overrides: two records, not one.
            return list({one.identity: one for one in logged if one is not None}.values())
    except SepbenchError:
        raise
    except Exception as error:
        raise Unreadable(f"MLflow at {where} cannot be read ({cause(error)})", "check MLFLOW_TRACKING_URI") from error


def _record(client: "MlflowClient", run: "Run") -> Record | None:
    document = run.data.tags.get(RECORD_TAG)
    if document is None:
        try:
            with tempfile.TemporaryDirectory() as folder:
                document = Path(client.download_artifacts(run.info.run_id, RECORD_FILE, folder)).read_text("utf-8")
        except Exception as error:
            client.get_run(run.info.run_id)  # raises where it is MLflow itself that is away
            logger.warning(
                "MLflow run %s is left out: its %s is not there (%s)", run.info.run_id, RECORD_FILE, cause(error)
            )
            return None
    try:
        return record_of(document)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the document"
        what = f"MLflow run {run.info.run_id} holds no valid record ({field}: {first['msg'].lower()})"
        raise Unreadable(what, "delete that run") from error
