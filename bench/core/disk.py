"""Writing files so that a kill, a full disk or a power cut leaves the old or the new, never half."""

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.core.errors import SepbenchError

_TEMPORARY = re.compile(r"\.(.+\.)?([0-9a-f]{8}){1,2}\.tmp")


class DiskError(SepbenchError):
    """The disk refuses: it is full, read-only, or not this user's. Whatever runs cannot go on."""


@contextmanager
def writing(folder: Path, setting: str = "SEPBENCH_HOME") -> Iterator[None]:
    """Turn what a disk refuses into one `DiskError` that names `folder`, and `setting` as what chooses it."""
    try:
        yield
    except OSError as error:
        raise cannot_write(folder, error, setting) from error


def cannot_write(folder: Path, error: OSError, setting: str = "SEPBENCH_HOME") -> DiskError:
    """Return the sentence for the person whose disk refused to be written to."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        advice = "free some space or raise the limit, then run the same command again: it goes on from here"
    elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        advice = f"make it writable for this user, or set {setting} to a folder that is"
    elif error.errno == errno.ENAMETOOLONG:
        advice = f"set {setting} to a folder with a shorter path"
    elif error.errno in (errno.ENOTDIR, errno.EEXIST):
        advice = f"a file stands where a folder should be: move it, or set {setting} to another folder"
    else:
        advice = f"check that disk, or set {setting} to another folder"
    return DiskError(f"cannot write to {folder} ({error.strerror or error}): {advice}")


def free_bytes(folder: Path) -> int:
    """Return how many bytes the disk has left on which a folder lies, or would be made."""
    return shutil.disk_usage(next(one for one in (folder, *folder.parents) if one.is_dir())).free


def make_folder(folder: Path) -> None:
    """Make a folder and its parents so that they are still there after a power cut."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def write_atomically(path: Path, data: bytes, *, durable: bool = True, mark: str = "") -> None:
    """Write a whole file or, on any failure, nothing: what stood at `path` then still stands.

    `durable` files survive a power cut; those that mean nothing after one are written faster without. With a `mark` of
    eight hexadecimal digits `temporaries` finds what a kill leaves. A device or a pipe is written to as it stands.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    temporary = temporary_beside(path, mark)
    try:
        with temporary.open("xb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def temporary_beside(path: Path, mark: str = "") -> Path:
    """Return where a file is written before it gets its name, which may be as long as a disk takes."""
    return path.with_name(f".{mark}{secrets.token_hex(4)}.tmp")


def temporaries(folder: Path, mark: str) -> Iterator[Path]:
    """Yield the files with a mark in a folder that have not got their names."""
    return folder.glob(f".{mark}????????.tmp")


def is_temporary(name: str) -> bool:
    """Return whether a file has such a name, which a killed process has left, or one of earlier versions."""
    return _TEMPORARY.fullmatch(name) is not None


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
