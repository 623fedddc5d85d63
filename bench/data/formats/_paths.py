"""Paths that people give, checked once."""

import glob
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.api import SepbenchError, is_unfinished
from bench.data.formats._mistaken import what_is_there


def existing_file(field: str, path: str) -> Path:
    """Return the file that `dataset.FIELD` names; raises `SepbenchError` where there is none."""
    with reaching(field, path):
        mode = mode_of(path)
        if stat.S_ISDIR(mode):
            raise SepbenchError(f"dataset.{field} is {path}, which is a folder: give a file")
        if not stat.S_ISREG(mode):
            raise SepbenchError(f"dataset.{field} is {path}, and there is no such file{_instead(path)}: {advice(path)}")
    return Path(path)


def existing_folder(field: str, path: str) -> Path:
    """Return the folder that `dataset.FIELD` names; raises `SepbenchError` where there is none."""
    with reaching(field, path):
        mode = mode_of(path)
        if stat.S_ISREG(mode) and (named := what_is_there(Path(path), "imagefolder")):
            raise SepbenchError(f"dataset.{field} must be a folder, and {path} {named}")
        if not stat.S_ISDIR(mode):
            raise SepbenchError(
                f"dataset.{field} is {path}, and there is no such folder{_instead(path)}: {advice(path)}"
            )
    return Path(path)


def mode_of(path: str) -> int:
    """Return `st_mode` of what a path leads to, 0 where it leads nowhere; raises `OSError` where it cannot be told."""
    try:
        return Path(path).stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0


@contextmanager
def reaching(field: str, path: str) -> Iterator[None]:
    """Turn what keeps a path from being looked at into one `SepbenchError` that names `dataset.FIELD`."""
    try:
        yield
    except SepbenchError:
        raise
    except OSError as error:
        other = error.filename is not None and Path(error.filename) != Path(path)
        what = f"and {error.filename}" if other else "which"
        raise SepbenchError(
            f"dataset.{field} is {path}, {what} cannot be reached ({error.strerror}): mount the disk it is on, or "
            f"correct its rights or the path"
        ) from error
    except ValueError as error:  # of a NUL, or of a character that no file name can hold
        raise SepbenchError(f"dataset.{field} is {path!a}, which no path can be ({error}): correct it") from error


def advice(path: str) -> str:
    """Return what to do about a path that leads nowhere."""
    data = os.environ.get("SEPBENCH_DATA")
    return "correct SEPBENCH_DATA or the path" if data and path.startswith(data) else "correct the path"


def _instead(path: str) -> str:
    """Say what there is of something that is not there: a link to nowhere, or a download that did not finish."""
    if Path(path).is_symlink():
        return f" where this link points, {Path(path).readlink()}"
    beside = sorted(Path(path).parent.glob(f"{glob.escape(Path(path).name)}.*"))
    unfinished = [one.name for one in beside if is_unfinished(one)]
    return f", only {unfinished[0]}, a download that did not finish" if unfinished else ""
