"""Documents and figures about an experiment, as a run of its own."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import PurePath
from typing import TYPE_CHECKING

from bench.core.errors import SepbenchError
from bench.record.tracking import signs
from bench.record.tracking.address import without_password
from bench.record.tracking.connection import cause, connected
from bench.record.tracking.files import Files
from bench.record.tracking.runs import find_or_create_experiment, open_parent
from bench.store.home import Home

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def attach(
    uri: str, home: Home, experiment: str, run: str, texts: Mapping[str, str], figures: Mapping[str, "Figure"]
) -> None:
    """Log texts and figures, by file name, as one run of the experiment.

    Where MLflow takes runs and no files, they wait in the home's outbox. Raises `SepbenchError` where it takes no runs.
    """
    contents = {name: text.encode() for name, text in texts.items()}
    contents |= {name: _drawn(name, figure) for name, figure in figures.items()}
    files = Files(uri, home.outbox, experiment)
    try:
        with connected(uri) as client:
            run_id = open_parent(client, find_or_create_experiment(client, uri, experiment), run, {})
            sign = signs.give(home.locks, run_id)
            for name, content in contents.items():
                files.log(client, run_id, name, content)
            client.set_terminated(run_id)
    except Exception as error:
        raise SepbenchError(
            f"MLflow at {without_password(uri)} takes no reports ({cause(error)}): check it, or leave it alone with "
            f"--no-mlflow"
        ) from error
    if sign is not None:
        sign.release()


def _drawn(name: str, figure: "Figure") -> bytes:
    drawn = BytesIO()
    figure.savefig(drawn, format=PurePath(name).suffix[1:])
    return drawn.getvalue()
