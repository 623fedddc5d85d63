"""A home that was moved: MLflow stores where artifacts lie as absolute addresses, in experiments and in runs."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from bench.record.tracking.address import artifact_root

_PATIENCE_SECONDS = 20.0  # as long as MLflow waits for a database that another process has locked


def follow(database: Path) -> None:
    """Have MLflow look for the artifacts of a home's database where the home is now, and leave new ones there.

    A run whose artifacts lie at the old place and not here keeps its address. Raises `sqlite3.Error` where the
    database cannot be read or changed.
    """
    root = f"{artifact_root(database).as_uri()}/"
    with closing(sqlite3.connect(database, timeout=_PATIENCE_SECONDS)) as connection:
        if not connection.execute("select 1 from sqlite_master where name = 'experiments'").fetchall():
            return  # an empty file, in which MLflow is yet to make its tables
        experiments = connection.execute("select experiment_id, artifact_location from experiments").fetchall()
        moved = [(_here(location, root), number) for number, location in experiments if _is_elsewhere(location, root)]
        if not moved:
            return
        with connection:  # all of it or nothing
            for location, number in moved:
                addresses = "select run_uuid, artifact_uri from runs where experiment_id = ?"
                runs = list(_moved_runs(connection.execute(addresses, (number,)).fetchall(), location, root))
                connection.executemany("update runs set artifact_uri = ? where run_uuid = ?", runs)
            connection.executemany("update experiments set artifact_location = ? where experiment_id = ?", moved)


def _moved_runs(runs: list[tuple[str, str | None]], location: str, root: str) -> Iterator[tuple[str, str]]:
    below = f"{_mark(root)}{location.removeprefix(root)}/"  # an experiment may be called as the root is
    for run, address in runs:
        if address is None or not _is_elsewhere(address, root) or below not in address:
            continue
        here = f"{location}/{address.rpartition(below)[2]}"
        if _folder(here).exists() or not _folder(address).exists():
            yield here, run


def _is_elsewhere(address: str | None, root: str) -> bool:
    return (
        address is not None and address.startswith("file:") and not address.startswith(root) and _mark(root) in address
    )


def _here(address: str, root: str) -> str:
    return root + address.rpartition(_mark(root))[2]


def _mark(root: str) -> str:
    """Return the last folder of `root` between slashes: what comes after it is the same at every place."""
    return f"/{root.rstrip('/').rpartition('/')[2]}/"


def _folder(address: str) -> Path:
    return Path(url2pathname(urlsplit(address).path))
