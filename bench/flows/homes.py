"""Where the work of a call from Python is kept: nowhere for longer than the call, unless somebody says where."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.core.errors import SepbenchError
from bench.store.home import Home


def is_kept(place: str | Path | None) -> bool:
    """Return whether the home at `place` outlasts the call."""
    return place is not None or bool(os.environ.get("SEPBENCH_HOME"))


def check_kept(place: str | Path | None, mlflow: bool) -> None:
    """Raise `SepbenchError` where MLflow is to be told and what it is told would be gone at the end."""
    if mlflow and not is_kept(place) and not os.environ.get("MLFLOW_TRACKING_URI"):
        raise SepbenchError(
            "mlflow=True writes to mlflow.db in the home, and without one nothing is kept: give home=FOLDER, or set "
            "MLFLOW_TRACKING_URI"
        )


@contextmanager
def home_at(place: str | Path | None) -> Iterator[Home]:
    """Yield the home at `place`, else at `$SEPBENCH_HOME`, else one that is removed at the end.

    A command keeps its work in the working directory where nobody says where, as it is asked again to go on. A call
    gives its result back, and leaves no files that nobody asked for.
    """
    if place is not None:
        if not isinstance(place, str | Path):
            raise SepbenchError(f"home={place!r}: give the path of a folder, or None")
        yield Home(Path(place).expanduser().absolute())
    elif is_kept(place):
        yield Home.find()
    else:
        with tempfile.TemporaryDirectory(prefix="sepbench-") as folder:
            yield Home(Path(folder), kept=False)
