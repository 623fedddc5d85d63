"""MLflow's client, made to answer or fail within seconds and to say nothing by itself."""

import logging
import os
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.disk import make_folder
from bench.record.tracking.address import sqlite_file, without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient

# MLflow's own defaults wait 120 s for an answer and try 8 times over minutes.
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}

# A failure is logged with a traceback and then raised: the exception is enough.
_LEVELS = {
    "mlflow": logging.WARNING,
    "mlflow.store.db.utils": logging.CRITICAL,
    "alembic": logging.WARNING,
    "urllib3.connectionpool": logging.ERROR,
}


@contextmanager
def connected(uri: str) -> Iterator["MlflowClient"]:
    """Give a client for `uri`; raises what MLflow raises, within about 20 seconds.

    Environment variables that the user has set are kept, MLFLOW_LOGGING_LEVEL too; nothing stays changed.
    """
    with _environment():
        from mlflow import MlflowClient

        with _quiet(), _one_attempt(uri):
            database = sqlite_file(uri)
            if database is not None and not database.exists():
                _create(database)
            yield MlflowClient(uri)


@contextmanager
def _environment() -> Iterator[None]:
    ours = {name: value for name, value in _ENVIRONMENT.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)


@contextmanager
def _quiet() -> Iterator[None]:
    loggers = [] if "MLFLOW_LOGGING_LEVEL" in os.environ else [logging.getLogger(name) for name in _LEVELS]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(_LEVELS[logger.name])
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


@contextmanager
def _one_attempt(uri: str) -> Iterator[None]:
    if uri.startswith(("http://", "https://")):
        yield
        return
    from mlflow.store.db import utils as database

    # Ten attempts at a database that cannot be opened take 100 s, and no setting shortens them.
    before, database.MAX_RETRY_COUNT = database.MAX_RETRY_COUNT, 1
    try:
        yield
    finally:
        database.MAX_RETRY_COUNT = before


def _create(database: Path) -> None:
    """Make an empty MLflow database that appears whole or not at all.

    MLflow builds its tables in dozens of steps: a kill between two of them, or two first runs at once, would
    leave a file that it refuses for ever.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    unfinished = database.with_name(f"{database.name}.{os.getpid()}.tmp")
    make_folder(database.parent)
    artifacts = (database.parent / "mlartifacts").as_uri()
    try:
        store = SqlAlchemyStore(f"sqlite:///{unfinished}", artifacts)  # type: ignore[no-untyped-call]
        store.engine.dispose()
        try:
            os.link(unfinished, database)
        except FileExistsError:
            pass
        except OSError:  # a disk without hard links
            unfinished.replace(database)
    finally:
        unfinished.unlink(missing_ok=True)


def cause(error: BaseException) -> str:
    """Return why MLflow failed, as part of a sentence and without passwords.

    That is the innermost error of the operating system, such as "Connection refused", or else the whole
    error's own message.
    """
    link: BaseException | None = error
    system: OSError | None = None
    while link is not None:
        system = link if isinstance(link, OSError) else system
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    if system is not None and system.strerror:
        text = system.strerror if system.filename is None else f"{system.strerror}: {system.filename}"
    else:
        text = str(system or error).partition("\n")[0] or type(error).__name__
    return without_password(textwrap.shorten(text, 200, placeholder=" …"))
