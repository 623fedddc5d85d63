"""Locks between the processes and machines that share a store: a file with its owner and a heartbeat."""

import fcntl
import json
import logging
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from bench.core import process
from bench.core.disk import make_folder, write_atomically, writing
from bench.core.outside import json_of

_LOG = logging.getLogger("sepbench")


def acquire(folder: Path, name: str, *, stale_after: float = 60.0, heartbeat: float = 10.0) -> "Lock | None":
    """Take the lock `<folder>/<name>.lock`, or return None at once where a live owner holds it.

    An owner on this machine is dead when its process is gone, one elsewhere when its heartbeat is: then the lock
    is taken over. Elsewhere is another container, too, and this machine before it was last started. Another thread
    of this process is an owner like any other.

    Parameters
    ----------
    folder
        Where the lock stands; made if missing.
    name
        File name without suffix.
    stale_after
        Seconds without heartbeat after which an owner elsewhere counts as dead; several heartbeats.
    heartbeat
        Seconds between two signs of life of this owner.

    Raises
    ------
    SepbenchError
        The folder cannot be written to.

    """
    path = folder / f"{name}.lock"
    mine = {**_this_process(), "token": secrets.token_hex(16)}
    with writing(folder):
        make_folder(folder)
        with _guarded(folder) as now:
            if _is_held(path, now, stale_after):
                return None
            write_atomically(path, f"{json.dumps(mine)}\n".encode(), durable=False)
    return Lock(path, mine, heartbeat)


def is_held(folder: Path, name: str, *, stale_after: float = 60.0) -> bool:
    """Tell whether a live owner holds the lock, by the same signs as `acquire`."""
    with writing(folder):
        make_folder(folder)
        with _guarded(folder) as now:
            return _is_held(folder / f"{name}.lock", now, stale_after)


def owner(folder: Path, name: str) -> str | None:
    """Return who holds the lock, as "HOST pid PID"; None where nobody does."""
    try:
        holder = _read(folder / f"{name}.lock")[0]
    except FileNotFoundError:
        return None
    return f"{holder['host']} pid {holder['pid']}" if holder else "an unknown process"


class Lock:
    """A lock that is held, kept alive by a thread; made by `acquire`, given back by `with` or `release`."""

    def __init__(self, path: Path, owner: dict[str, Any], heartbeat: float) -> None:
        self.path = path
        self._owner = owner
        self._released = threading.Event()
        self._thread = threading.Thread(
            target=self._beat, args=(heartbeat,), name=f"heartbeat of {path.name}", daemon=True
        )
        self._thread.start()

    def release(self) -> None:
        """Give the lock back; leaves it alone where another owner took it over. Harmless when repeated."""
        self._released.set()
        self._thread.join()
        with writing(self.path.parent), suppress(FileNotFoundError), _guarded(self.path.parent):
            if self._is_mine():
                self.path.unlink()

    def __enter__(self) -> "Lock":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _is_mine(self) -> bool:
        holder = _read(self.path)[0]
        return holder is not None and holder["token"] == self._owner["token"]

    def _beat(self, heartbeat: float) -> None:
        while not self._released.wait(heartbeat):
            # A shared disk that is away for a moment is no reason to stop.
            with suppress(OSError):
                if not self._is_mine():
                    _LOG.warning("the lock %s was taken over while this process held it", self.path)
                    return
                os.utime(self.path)


@contextmanager
def _guarded(folder: Path) -> Iterator[float]:
    """Let one process or thread at a time look at and change the locks of a folder; yields the time there."""
    guard = os.open(folder / ".guard", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(guard, fcntl.LOCK_EX)
        try:
            # The clock that stamps heartbeats, which on a network disk is not this machine's.
            os.utime(guard)
            yield os.fstat(guard).st_mtime
        finally:
            fcntl.flock(guard, fcntl.LOCK_UN)  # closing is not enough where a fork shares the descriptor
    finally:
        os.close(guard)


def _is_held(path: Path, now: float, stale_after: float) -> bool:
    try:
        holder, beaten = _read(path)
    except FileNotFoundError:
        return False
    if holder is not None and _is_here(holder):
        return process.is_alive(holder["pid"], holder.get("started"))
    return now - beaten < stale_after


def _read(path: Path) -> tuple[dict[str, Any] | None, float]:
    """Return the owner, None where the file does not name one, and the time of its last heartbeat."""
    with path.open("rb") as file:
        # Asked of the open file: a network disk may answer from memory for one that is not open.
        beaten = os.fstat(file.fileno()).st_mtime
        text = file.read()
    try:
        holder = json_of(text)
        valid = all(isinstance(holder[field], str) for field in ("host", "token"))
        valid = valid and isinstance(holder["pid"], int) and holder["pid"] > 0
    except (ValueError, KeyError, TypeError):
        valid = False
    return (holder if valid else None), beaten


def _this_process() -> dict[str, Any]:
    return {
        "host": process.host(),
        "pid_space": process.pid_space(),
        "pid": os.getpid(),
        "started": process.started_at(os.getpid()),
    }


def _is_here(holder: dict[str, Any]) -> bool:
    return holder.get("pid_space") == process.pid_space()
