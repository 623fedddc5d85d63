"""Documents and figures about an experiment, as a run of its own."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bench.core.errors import SepbenchError
from bench.record.tracking.address import without_password
from bench.record.tracking.connection import cause, connected
from bench.record.tracking.runs import find_or_create_experiment, open_parent

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def attach(uri: str, experiment: str, run: str, texts: Mapping[str, str], figures: Mapping[str, "Figure"]) -> None:
    """Log texts and figures, by file name, as one run of the experiment.

    Raises `SepbenchError` where MLflow does not take them.
    """
    try:
        with connected(uri) as client:
            run_id = open_parent(client, find_or_create_experiment(client, uri, experiment), run, {})
            for name, text in texts.items():
                client.log_text(run_id, text, name)
            for name, figure in figures.items():
                client.log_figure(run_id, figure, name)
            client.set_terminated(run_id)
    except Exception as error:
        raise SepbenchError(
            f"MLflow at {without_password(uri)} takes no reports ({cause(error)}): check it, or leave it alone with "
            f"--no-mlflow"
        ) from error
