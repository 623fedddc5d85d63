"""A home on a machine of a cluster for the time of one run: private, and gone with those that use it."""

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from bench.core.disk import writing
from bench.core.errors import SepbenchError
from bench.store.home import Home

_IN_USE = "in-use"


@cache
def passing_home(name: str) -> Home:
    """Return the home of this name below the machine's folder for temporary files; it is this process's until it ends.

    What other runs have left there is removed, once all processes have ended that used it.

    Raises
    ------
    SepbenchError
        The folder is somebody else's, or the disk refuses.

    """
    root = _root()
    with writing(root, "TMPDIR"), _alone(root):
        folder = root / name
        folder.mkdir(exist_ok=True)
        in_use = os.open(
            folder / _IN_USE, os.O_RDWR | os.O_CREAT, 0o600
        )  # never closed: the lock ends with the process
        fcntl.flock(in_use, fcntl.LOCK_SH)
        _remove_the_abandoned(root)
    return Home(folder)


def remove_passing_home(name: str) -> None:
    """Remove the home of this name, also where processes use it, and those that no process uses."""
    root = _root()
    with writing(root, "TMPDIR"), _alone(root):
        shutil.rmtree(root / name, ignore_errors=True)
        _remove_the_abandoned(root)


def _root() -> Path:
    root = Path(tempfile.gettempdir()) / f"sepbench-nodes-{os.getuid()}"
    with writing(root, "TMPDIR"):
        root.mkdir(mode=0o700, exist_ok=True)
        found = root.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise SepbenchError(f"{root} is not this user's alone: remove it, or set TMPDIR to another folder")
    return root


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Let one process at a time begin to use homes, and remove them."""
    guard = os.open(root / ".guard", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield
    finally:
        os.close(guard)


def _remove_the_abandoned(root: Path) -> None:
    for folder in (path for path in root.iterdir() if path.is_dir()):
        in_use = os.open(folder / _IN_USE, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        finally:
            os.close(in_use)
        shutil.rmtree(folder, ignore_errors=True)
