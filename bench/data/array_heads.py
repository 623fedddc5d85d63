"""What files of NumPy and torch say of their arrays before one is read: whether it fits into memory."""

import mmap
import zipfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np

from bench.core.errors import SepbenchError
from bench.core.outside import memory

_BYTES = b"\nbytearray\n"
_TEXT = 64
"""Bytes of a name once it is text of Python, less its letters."""


@dataclass(frozen=True)
class ArrayHead:
    """One array before it is read."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def bytes(self) -> int:
        """What it takes in memory once it is read: numbers in a row are labels and become int64, text is Python's."""
        each = max(self.dtype.itemsize, 8 if len(self.shape) < 2 else 0) + (_TEXT if self.dtype.kind in "US" else 0)
        return max(0, prod(self.shape)) * each


def head_of(file: IO[bytes]) -> ArrayHead:
    """Return what the head of an array's file says of it; raises ValueError and others where it is none."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return ArrayHead(shape, dtype)


def refuse_large(path: Path, what: str, heads: Iterable[ArrayHead]) -> None:
    """Raise `SepbenchError` where arrays would together not fit into memory."""
    heads = list(heads)
    needed = sum(head.bytes for head in heads)
    if needed > memory() // 2:
        shape = f"shape {list(heads[0].shape)}, " if len(heads) == 1 else ""
        raise SepbenchError(
            f"{what} says that it has {shape}{needed / 2**30:.1f} GiB, more than half of this machine's memory: check "
            f"the file {path}, or save it with uint8 or float16 values"
        )


def refuse_large_archive(path: Path, names: Sequence[str]) -> None:
    """Raise `SepbenchError` where the arrays of these names in an archive of NumPy would not fit into memory.

    Nothing is said of a file that cannot be read: whoever reads it says that.
    """
    heads: list[ArrayHead] = []
    with suppress(Exception), zipfile.ZipFile(path) as archive:  # a broken archive raises what it likes
        for name in {one.filename for one in archive.infolist()} & {*names, *(f"{name}.npy" for name in names)}:
            with archive.open(name) as member:
                heads.append(ArrayHead((archive.getinfo(name).file_size, 1, 1), np.dtype(np.uint8)))
                if name.endswith(".npy"):
                    heads[-1] = head_of(member)
    refuse_large(path, str(path), heads)


def refuse_inflated(path: Path) -> None:
    """Raise `SepbenchError` where a file of torch would become far more in memory than it is.

    Torch itself packs nothing, and saves no arrays of bytes, which it makes of any size when it reads them. Nothing is
    said of a file that cannot be read: whoever reads it says that.
    """
    unpacked, makes_bytes = 0, False
    with suppress(Exception):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                unpacked = sum(one.file_size for one in archive.infolist())
                if unpacked <= path.stat().st_size:
                    makes_bytes = any(_BYTES in archive.read(one) for one in archive.namelist() if one.endswith(".pkl"))
        else:
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                makes_bytes = data.find(_BYTES) >= 0
    if unpacked > path.stat().st_size or makes_bytes:
        raise SepbenchError(
            f"{path} becomes more in memory than it is, unlike what torch saves: save its tensors again"
        )
