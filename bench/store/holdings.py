"""What lies in a home, thing by thing, and how much room each takes."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.core.disk import DiskError, is_temporary
from bench.store.home import Home

What = Literal["artifact", "draft", "set aside", "incoming", "log", "card", "lock", "leftover", "record", "other"]


@dataclass(frozen=True)
class Holding:
    """A file or folder of a home.

    Attributes
    ----------
    what
        A finished artifact, a draft, what was set aside or is being brought, and files: `leftover` is what a killed
        process was writing, `other` what sepbench keeps besides.
    kind, key
        Of the stage that an artifact or a draft is of; of anything else the kind is the name of its folder.
    bytes
        Of all its files.

    """

    what: What
    kind: str
    key: str
    path: Path
    bytes: int


_FILES: dict[str, What] = {
    "logs": "log",
    "cards": "card",
    "locks": "lock",
    "records": "record",
    **dict.fromkeys(("answers", "paces", "costs", "outbox", "arrays", "variants", "mlartifacts"), "other"),
}
"""What the files of a folder are."""


def holdings(home: Home) -> Iterator[Holding]:
    """Yield all that lies in a home; what goes meanwhile may be missing.

    Raises `DiskError` where a folder cannot be read.
    """
    root, store = home.root, home.store.root
    for path in _inside(store):
        if path.name == "drafts":
            for draft in _inside(path):
                kind, _, key = draft.name.partition("-")
                yield _holding("draft", kind, key, draft)
        elif path.name == "set-aside":
            for aside in _inside(path):
                kind, _, rest = aside.name.partition("-")
                yield _holding("set aside", kind, rest.rpartition("-")[0], aside)
        elif path == home.incoming:
            yield _holding("incoming", path.name, "", path)
        else:
            for below in _inside(path):
                for artifact in _inside(below):
                    yield _holding("artifact", path.name, artifact.name, artifact)
    for name, what in _FILES.items():
        for file in _files(root / name):
            yield _holding("leftover" if is_temporary(file.name) else what, name, file.stem, file)
    for path in _inside(root):  # of which a person may have made a home where other things lie
        if path.is_file() and path.name.startswith("mlflow.db"):
            yield _holding("other", "mlflow.db", "", path)


def _holding(what: What, kind: str, key: str, path: Path) -> Holding:
    return Holding(what, kind, key, path, sum(map(_size, _files(path))))


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise _unreadable(folder, error) from error


def _files(path: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            raise _unreadable(Path(error.filename), error) from error

    if path.is_file() or path.is_symlink():
        yield path
    else:
        for below, _, names in os.walk(path, onerror=refuse):
            yield from (Path(below) / name for name in sorted(names))


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _unreadable(folder: Path, error: OSError) -> DiskError:
    return DiskError(f"cannot read {folder} ({error.strerror}): make it readable for this user")
