"""Files that tell whether they are what was written: JSON with its own digest, bytes with a digest elsewhere."""

import errno
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.core.disk import DiskError
from bench.core.outside import json_of

_NAME, _DIGEST = re.compile(r"[A-Za-z0-9_-]+"), re.compile(r"[0-9a-f]{64}")


class Damage(Exception):  # noqa: N818 - reads as what it is
    """A file is not what was written; the message names it and says what is wrong."""


def refused(path: Path, error: OSError) -> Exception:
    """Return what becomes of a file that cannot be read: damage, or a disk that refuses."""
    # Only what a remake would cure is damage: a passing "too many open files" must not cost an artifact.
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return Damage(f"{path.name} is missing")
    if error.errno in (errno.EIO, errno.EISDIR):
        return Damage(f"{path.name} cannot be read ({error.strerror})")
    return DiskError(f"cannot read {path} ({error.strerror}): make it readable, or set SEPBENCH_HOME to another folder")


def size_of(path: Path) -> int:
    """Return the bytes of a file; raises `Damage` where it is missing."""
    try:
        return path.stat().st_size
    except OSError as error:
        raise refused(path, error) from error


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise refused(path, error) from error


def read_verified(path: Path, entry: Mapping[str, Any]) -> bytes:
    """Return what a file holds; raises `Damage` where that is not of the entry's `size` and `sha256`."""
    data = _bytes_of(path)
    if len(data) != entry["size"]:
        raise Damage(f"{path.name} has {len(data)} bytes instead of {entry['size']}")
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise Damage(f"{path.name} was changed: its bytes do not match their digest")
    return data


def seal(body: Mapping[str, Any]) -> bytes:
    """Return JSON that holds its own digest."""
    body = json.loads(json.dumps(body))  # as a reader will see it: a number as a key is a string there
    return (json.dumps({**body, "sha256": _content(body)}, sort_keys=True, indent=1) + "\n").encode()


def _content(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read_sealed(path: Path) -> dict[str, Any]:
    """Return what `seal` was given of a file; raises `Damage` where it is another, or cut off."""
    return unseal(_bytes_of(path), path.name)


def read_files(path: Path) -> dict[str, Any]:
    """Return what `read_sealed` does of a document with `files`, `size` and `sha256` by name; their names lead nowhere.

    Raises `Damage` where they do, or it is another document.
    """
    return check_files(read_sealed(path), path)


def check_files(body: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return such a document, which is called `path`, where it is one; raises `Damage` as `read_files` does."""
    files, meta = body.get("files"), body.get("meta")
    if not isinstance(files, dict) or not isinstance(meta, dict) or not all(map(_NAME.fullmatch, files)):
        raise Damage(f"{path.name} is not ours")
    for entry in files.values():
        check_entry(entry, path)
    return body


def check_entry(entry: Any, path: Path) -> None:
    """Raise `Damage` where what the document `path` says of a file is not its `size` and `sha256`."""
    told = entry if isinstance(entry, dict) else {}
    if type(told.get("size")) is not int or not _DIGEST.fullmatch(str(told.get("sha256"))):
        raise Damage(f"{path.name} is not ours")


def unseal(data: bytes, name: str) -> dict[str, Any]:
    """Return what `seal` was given; raises `Damage`, which calls the bytes `name`."""
    try:
        body: dict[str, Any] = json_of(data)
        digest = body.pop("sha256")
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise Damage(f"{name} is truncated or not ours") from error
    # What it says, and that it is all there: to write it anew and compare takes five times as long.
    try:
        same = digest == _content(body)
    except RecursionError as error:
        raise Damage(f"{name} is nested too deeply") from error
    if not same or not data.endswith(b"}\n"):
        raise Damage(f"{name} was changed: it does not match its digest")
    return body
