"""MLflow's database, made whole or not at all, and what killed processes left of theirs."""

import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.core.disk import make_folder
from bench.record.tracking.address import artifact_root, sqlite_uri

# Making a database takes seconds; what nobody has locked, and is older than this, belongs to a process that is gone.
_MAKING_SECONDS = 600
_LOCK, _UNLOCKED = "lock", "unlocked"


def create(database: Path) -> None:
    """Make an empty MLflow database that appears whole or not at all.

    MLflow builds its tables in dozens of steps: a kill between two of them, or two first runs at once, would
    leave a file that it refuses for ever.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    make_folder(database.parent)
    with _workshop(database) as folder:
        unfinished = folder / database.name
        unfinished.touch()  # as umask says: SQLite lets nobody but its owner write to what it makes
        store = SqlAlchemyStore(sqlite_uri(unfinished), artifact_root(database).as_uri())  # type: ignore[no-untyped-call]
        store.engine.dispose()
        try:
            os.link(unfinished, database)
        except FileExistsError:
            pass
        except OSError:  # a disk without hard links
            unfinished.replace(database)


def clear_leftovers(database: Path) -> None:
    """Remove what killed processes left of databases that they were making beside `database`."""
    name = re.escape(database.name)
    for path in database.parent.glob("*.tmp*"):
        if _is_workshop(path) and re.fullmatch(rf"{name}\.\w+\.tmp", path.name) and _is_abandoned(path):
            shutil.rmtree(path, ignore_errors=True)
        # Earlier versions of sepbench made files, named by the number of their process.
        elif path.is_file() and re.fullmatch(rf"{name}\.\d+\.tmp(-\w+)?", path.name) and _is_abandoned(path):
            path.unlink(missing_ok=True)


@contextmanager
def _workshop(database: Path) -> Iterator[Path]:
    """Yield a folder beside `database`, whose lock lives as long as this process, and remove it."""
    folder = Path(tempfile.mkdtemp(prefix=f"{database.name}.", suffix=".tmp", dir=database.parent))
    lock = os.open(folder / _UNLOCKED, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (folder / _UNLOCKED).rename(folder / _LOCK)  # so that nobody finds the lock before it is held
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _is_workshop(path: Path) -> bool:
    return (path / _LOCK).is_file() or (path / _UNLOCKED).is_file()


def _is_abandoned(path: Path) -> bool:
    try:
        lock = os.open(path / _LOCK, os.O_RDWR)
    except OSError:  # without a lock: just begun, or left by an earlier version of sepbench
        with suppress(FileNotFoundError):
            return time.time() - path.stat().st_mtime > _MAKING_SECONDS
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
