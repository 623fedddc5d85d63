"""Paths that a person writes: environment variables, and the digest of what lies there."""

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath

from bench.core.errors import NotHere, SepbenchError

_VARIABLE = re.compile(r"\$\{(\w+)\}")


def expand_variables(field: str, text: str, advice: str) -> str:
    """Return `text` with `~` and `${NAME}` expanded.

    Raises `SepbenchError` that names `field` where a variable is not set, with `advice` on what to do.
    """

    def content(variable: re.Match[str]) -> str:
        found = os.environ.get(variable[1])
        if not found:
            raise NotHere(f"{field} uses {variable[0]}, which is not set: {advice}")
        return found

    return os.path.expanduser(_VARIABLE.sub(content, text))  # noqa: PTH111 - not every text is a path


def content_digest(path: Path, of_file: Callable[[Path], str] | None = None) -> str:
    """Return the hex SHA-256 of a file, or of the names and contents of all files below a folder.

    `of_file` gives the digest of a single file in place of `file_digest`. Links are followed. Raises `SepbenchError`
    where a file or folder cannot be read, or a link leads back to a folder that it lies in.
    """
    digest = of_file or file_digest
    if path.is_file():
        return digest(path)
    lines = [f"{one.relative_to(path).as_posix()} {digest(one)}\n" for one in sorted(_files_below(path))]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def is_there(path: Path) -> bool:
    """Tell whether a path leads to something; raises `SepbenchError` where that cannot be told."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise SepbenchError(f"{path} cannot be reached ({error.strerror}): correct its rights or the path") from error
    return True


def file_digest(path: Path) -> str:
    """Return the hex SHA-256 of a file; raises `SepbenchError` where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SepbenchError(f"{path} cannot be read ({error.strerror}): make it readable") from error


def stands(path: Path, digest: str) -> bool:
    """Return whether a file is there and holds what was written to it."""
    return path.is_file() and file_digest(path) == digest


def is_below(name: str) -> bool:
    """Tell whether a relative path that a file names stays in the folder, and can be the name of anything."""
    path = PurePath(name)
    return (
        not path.is_absolute()
        and ".." not in path.parts
        and all(len(one.encode(errors="replace")) < 256 for one in path.parts)
    )


def _files_below(root: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:  # which Path.rglob would pass over
        raise SepbenchError(f"{error.filename} cannot be read ({error.strerror}): make it readable") from error

    for below, folders, names in os.walk(root, onerror=refuse, followlinks=True):
        here = Path(below).resolve()
        for folder in folders:
            if (Path(below) / folder).resolve() in (here, *here.parents):
                raise SepbenchError(f"{Path(below) / folder} leads back to a folder that it lies in: remove the link")
        yield from (Path(below) / name for name in names)
