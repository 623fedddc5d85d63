"""Which kind of originals a path leads to."""

from pathlib import Path

from bench.core.errors import SepbenchError
from bench.core.paths import is_there
from bench.data.originals.array_archive import ArchiveOriginals
from bench.data.originals.class_folders import ClassFolderOriginals
from bench.data.originals.originals import Originals
from bench.data.originals.parquet_rows import ParquetOriginals, shards_in


def open_originals(path: Path) -> Originals:
    """Open a folder with one folder of pictures a class, Parquet files of the Hugging Face layout, or an npz archive.

    Parquet is one file, or a folder of shards. Decodes nothing. Raises `SepbenchError` where the path leads to none of
    these, or the data-set format of the same files would refuse them.
    """
    if not is_there(path):
        raise SepbenchError(f"{path} is not there: correct the path")
    if path.is_dir():
        return ParquetOriginals(path) if shards_in(path) else ClassFolderOriginals(path)
    kind = {".npz": ArchiveOriginals, ".parquet": ParquetOriginals}.get(path.suffix.lower())
    if kind is None:
        raise SepbenchError(
            f"{path} is no set of pictures: give a folder with one folder of pictures a class, a .parquet or a .npz"
        )
    return kind(path)
