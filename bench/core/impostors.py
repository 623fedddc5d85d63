"""What lies where data should: pointers, web pages, error messages, archives, downloads that did not finish."""

import re
import zipfile
from pathlib import Path

from bench.core.outside import json_of

_HEAD = 2048
_UNFINISHED = (".part", ".partial", ".crdownload", ".incomplete", ".download", ".aria2")
_ARCHIVES = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\x07": "RAR",
}
_TAR = slice(257, 262)
_AGAIN = "perhaps an error that a server answered in place of the data: download it again"
# Comments may stand before a page's first element, and the declaration of XML.
_PAGE = re.compile(
    rb"(?>\s|<!--.*?-->|<\?xml[^>]*\?>)*+(<!doctype\s+html|<(html|head|body|title|meta|script)\b)",
    re.DOTALL | re.IGNORECASE,
)
_XML = re.compile(rb"\s*(<\?xml\b|<Error>)")


def what_it_is(content: Path | bytes) -> str | None:
    """Say what stands in place of data that could not be read, as the end of a sentence that its name begins.

    Ask it once reading has failed: archives of NumPy and torch are never named, other zip archives are.

    Parameters
    ----------
    content
        The file, or its content or at least the first 2 kB of it.

    Returns
    -------
    Such as `is a Git LFS pointer, not the data: fetch it with git lfs pull`; None where it is nothing known, or
    cannot be looked at.

    """
    try:
        head = content[:_HEAD] if isinstance(content, bytes) else _head(content)
        return _named(head) or (_unfinished(content) or _zip(content) if isinstance(content, Path) else None)
    except OSError:
        return None


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)


def _named(head: bytes) -> str | None:
    text = head.removeprefix(b"\xef\xbb\xbf")
    if not head:
        return "is empty (0 bytes): replace it"
    if text.startswith(b"version https://git-lfs.github.com/spec/"):
        return "is a Git LFS pointer, not the data: fetch it with git lfs pull"
    if _PAGE.match(text):
        return "is an HTML page, perhaps a login or error page saved by the download: download it again"
    if _XML.match(text) and b"<svg" not in text:
        return f"is XML, {_AGAIN}"
    if _is_json(text):
        return f"is JSON, {_AGAIN}"
    kind = next((name for start, name in _ARCHIVES.items() if head.startswith(start)), None)
    if head[_TAR] == b"ustar":
        kind = "tar"
    return kind and f"is a {kind} archive: unpack it, and give what was in it"


def _is_json(head: bytes) -> bool:
    if not re.match(rb'\s*[\[{]\s*["\[{]', head):
        return False
    if len(head) == _HEAD:  # cut off, maybe within a character
        return b"\0" not in head
    try:
        json_of(head)
    except ValueError:
        return False
    return True


def is_unfinished(path: Path) -> bool:
    """Return whether a file is named as programs name downloads that have not finished."""
    return path.suffix.lower() in _UNFINISHED


def _unfinished(path: Path) -> str | None:
    if not is_unfinished(path):
        return None
    return f"is by its name ({path.suffix}) a download that did not finish: download it again"


def _zip(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except Exception:  # what a broken archive makes of a reader is without bounds
        return None
    if any(name.endswith((".npy", "data.pkl")) for name in names):
        return None
    return "is a zip archive: unpack it, and give what was in it"
