"""Files of one format where another one is read."""

import zipfile
from pathlib import Path

from bench.api import what_it_is

_TEXT = 1000


def what_is_there(path: Path, wanted: str) -> str | None:
    """Say what a file is that could not be read, as the end of a sentence that its name begins; None if unknown.

    To what `what_it_is` knows it adds data in other formats than the one that is `wanted`.
    """
    named = what_it_is(path)
    if named:
        return named
    try:
        kind, advice = _kind(path)
    except Exception:  # what a broken archive makes of a reader is without bounds
        return None
    return None if kind in (wanted, None) else f"is {advice}"


def its_text(path: Path) -> str | None:
    """Return a short text, such as the error of a server, that lies where data should; None for anything else."""
    try:
        if path.stat().st_size > _TEXT:
            return None
        text = " ".join(path.read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError):
        return None
    if not text or not text.isprintable():
        return None
    return f"it is text, '{text[:60]}{'…' if len(text) > 60 else ''}'"


def _kind(path: Path) -> tuple[str | None, str]:
    with path.open("rb") as file:
        head = file.read(8)
        file.seek(-min(4, path.stat().st_size), 2)
        tail = file.read()
    if head[:4] == tail == b"PAR1":
        return "parquet", "a Parquet file: set dataset.format to parquet"
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            numpy = any(name.endswith(".npy") for name in archive.namelist())
        return ("npz", "a NumPy archive: set dataset.format to npz") if numpy else (None, "")
    if head.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        return "arrow", "an Arrow file: save it as Parquet, such as with to_parquet of Hugging Face's data sets"
    if head.startswith(b"\x89HDF"):
        return "hdf5", "an HDF5 file: save its arrays with numpy.savez, and set dataset.format to npz"
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "pickle", "a Python pickle: save its arrays with numpy.savez, and set dataset.format to npz"
    return None, ""
