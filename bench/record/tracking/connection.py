"""MLflow's client, made to answer or fail within seconds and to say nothing by itself."""

import logging
import os
import re
import sqlite3
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING

from bench.record.tracking.address import own_database, sqlite_file, without_password
from bench.record.tracking.creating import clear_leftovers, create
from bench.record.tracking.moving import follow

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


# What MLflow says at length, and what the person can do about it.
_REFUSALS = (
    (
        r"error code 401|401 Client Error|^UNAUTHENTICATED|(?i:unauthori[sz]ed|not authenticated)",
        "401, it does not know who asks: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, "
        "or MLFLOW_TRACKING_TOKEN",
    ),
    (
        r"error code 403|403 Client Error|^PERMISSION_DENIED|(?i:forbidden)",
        "403, this user may not: ask for the right, or set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, "
        "or MLFLOW_TRACKING_TOKEN",
    ),
)
_REMEDIES = (
    (
        r"unable to open database file",
        "its database cannot be opened: check the folder, and that the path has fewer than 500 characters",
    ),
    (
        r"file is not a database|database disk image is malformed",
        "its database is damaged: move that file away, and sepbench sync fills a new one",
    ),
    (
        r"out-of-date database schema|Can't locate revision",
        "another version of MLflow made its database: save a copy and call mlflow db upgrade with this address, "
        "or use the newer MLflow",
    ),
)


@contextmanager
def connected(uri: str, *, reading: bool = False) -> Iterator["MlflowClient"]:
    """Give a client for `uri`; raises what MLflow raises, within about 20 seconds.

    Environment variables that the user has set are kept, MLFLOW_LOGGING_LEVEL too; nothing stays changed. Whoever is
    only `reading` needs a database that can be read.
    """
    with _environment():
        from mlflow import MlflowClient

        with _quiet(), _one_attempt(uri):
            database = sqlite_file(uri)
            if database is not None:
                with suppress(OSError):
                    clear_leftovers(database)
                if not database.exists():
                    create(database)
            if database is not None and database == own_database(uri):
                with suppress(sqlite3.Error) if reading else nullcontext():
                    follow(database)
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


def cause(error: BaseException) -> str:
    """Return why MLflow failed, as part of a sentence and without passwords.

    That is the package that is not installed, the innermost error of the operating system, such as "Connection
    refused", or else the whole error's own message.
    """
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"{error.name.partition('.')[0]} is not installed: add it with pip"
    link: BaseException | None = error
    system: OSError | None = None
    while link is not None:
        system = link if isinstance(link, OSError) else system
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    if system is not None and system.strerror:
        text = system.strerror if system.filename is None else f"{system.strerror}: {system.filename}"
    else:
        text = str(system or error).partition("\n")[0] or type(error).__name__
        text = re.sub(r"^\([\w.]+Error\) ", "", text)  # SQLAlchemy's name for it
    # A path may be called as a server's refusal is: what fails at a file is no refusal.
    signs = _REMEDIES if system is not None and system.filename is not None else (*_REFUSALS, *_REMEDIES)
    advice = next((remedy for sign, remedy in signs if re.search(sign, str(error))), None)
    return advice or without_password(textwrap.shorten(text, 200, placeholder=" …"))
