"""Where MLflow keeps things: tracking URIs, artifact folders, the command that opens its page."""

import os
import re
import shlex
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote


def installed() -> bool:
    """Return whether MLflow can be imported here."""
    return find_spec("mlflow") is not None


def default_uri(home: Path) -> str:
    """Return `$MLFLOW_TRACKING_URI`, or else the SQLite database in `home`, at an absolute path."""
    return os.environ.get("MLFLOW_TRACKING_URI") or sqlite_uri((home / "mlflow.db").absolute())


def sqlite_uri(database: Path) -> str:
    """Return the tracking URI of a SQLite file, whatever its path is made of."""
    if not {"%", "?"} & {*str(database)}:
        return f"sqlite:///{database}"
    try:
        from sqlalchemy.engine import URL
    except ImportError:  # it comes with MLflow, without which nothing opens this address
        return f"sqlite:///{database}"
    # With the driver: after a bare `sqlite:///` MLflow makes the path's folder as it is spelled, escapes and all.
    return URL.create("sqlite+pysqlite", database=str(database)).render_as_string()


def sqlite_file(uri: str) -> Path | None:
    """Return the database file that `uri` names, absolute; None where it is no SQLite file."""
    if not uri.startswith(("sqlite:", "sqlite+")):
        return None
    try:
        from sqlalchemy.engine import make_url
    except ImportError:
        path: str | None = uri.partition(":///")[2]
    else:
        path = make_url(uri).database
    return Path(path).absolute() if path and path != ":memory:" else None


def own_database(uri: str) -> Path | None:
    """Return the database file where it is sepbench's own; None where the person has named it."""
    return None if os.environ.get("MLFLOW_TRACKING_URI") else sqlite_file(uri)


def artifact_root(database: Path) -> Path:
    """Return the folder beside a SQLite database that holds its artifacts."""
    return database.parent / "mlartifacts"


def artifact_location(uri: str, experiment: str) -> str | None:
    """Return where the artifacts of a new experiment go; None leaves that to the server.

    Beside a SQLite database: MLflow's own choice would be `./mlruns` of whatever the working directory is.
    """
    database = sqlite_file(uri)
    if database is None:
        return None
    return (artifact_root(database) / quote(experiment, safe="")).as_uri()


def ui_command(uri: str) -> str:
    """Return the one line that opens MLflow's page on `uri` from the working directory."""
    if uri.startswith(("http://", "https://")):
        return f"{_program('python')} -m webbrowser {shlex.quote(without_password(uri))}"
    database = sqlite_file(uri)
    if database is not None and database.is_relative_to(Path.cwd()):
        uri = sqlite_uri(database.relative_to(Path.cwd()))
    elif uri != without_password(uri):
        return f'{_program("mlflow")} ui --backend-store-uri "$MLFLOW_TRACKING_URI" --port 5000'
    return f"{_program('mlflow')} ui --backend-store-uri {shlex.quote(uri)} --port 5000"


def without_password(text: str) -> str:
    """Return `text` without the user names and passwords of the addresses in it."""
    return re.sub(r"://[^/@\s]+@", "://", text)


def _program(name: str) -> str:
    """Return a program of this environment as it can be called, which need not be the active one."""
    beside, found = Path(sys.executable).with_name(name), shutil.which(name)
    if not beside.exists() or (found and Path(found).parent == beside.parent):
        return name
    inside = beside.is_relative_to(Path.cwd())
    return shlex.quote(str(beside.relative_to(Path.cwd()) if inside else beside))
