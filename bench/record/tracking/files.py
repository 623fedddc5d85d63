"""Files of runs, such as tables: in MLflow, or in the outbox where MLflow takes numbers and no files."""

import logging
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from bench.record.tracking import outbox
from bench.record.tracking.address import without_password
from bench.record.tracking.connection import cause

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger("sepbench")


class Files:
    """Where the files of one experiment's runs go; after the first that MLflow refuses, all go to the outbox.

    Attributes
    ----------
    refusal
        Why MLflow takes no files; None as long as it does.

    """

    def __init__(self, uri: str, folder: Path, experiment: str) -> None:
        self._uri, self._outbox, self._experiment = uri, folder, experiment
        self._kept = True
        self.refusal: str | None = None

    def log(self, client: "MlflowClient", run_id: str, name: str, content: bytes) -> None:
        """Add a file to a run, now or with the next `sync`; raises what MLflow raises where it is away altogether."""
        if self.refusal is None:
            try:
                send_file(client, run_id, name, content)
                return
            except Exception as error:
                client.get_run(run_id)  # raises where it is MLflow itself that is away
                self.refusal = cause(error)
                logger.warning(
                    "MLflow at %s takes numbers but no files (%s): nothing is lost, records and tables wait in %s "
                    "for `sepbench sync`",
                    without_password(self._uri),
                    self.refusal,
                    self._outbox,
                )
        try:
            outbox.put_file(self._outbox, self._experiment, run_id, name, content)
        except OSError as error:
            if self._kept:
                logger.warning(
                    "cannot keep files in %s (%s): what MLflow does not take now stays out of MLflow",
                    self._outbox,
                    cause(error),
                )
            self._kept = False


def send_file(client: "MlflowClient", run_id: str, name: str, content: bytes) -> None:
    """Add a file to a run; raises what MLflow raises."""
    inside = PurePosixPath(name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / inside.name
        path.write_bytes(content)
        client.log_artifact(run_id, str(path), str(inside.parent) if inside.parent.name else None)
