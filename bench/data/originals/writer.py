"""How protected pictures are written: each once, whole, and so that a killed run goes on."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.disk import is_temporary, writing
from bench.core.errors import SepbenchError
from bench.data.originals.encoding import ENDINGS
from bench.data.originals.journal import Journal, Written
from bench.data.originals.picture import Picture

Measure = Callable[[NDArray[np.uint8], NDArray[np.uint8]], dict[str, Any]]
"""What is kept of a picture, as JSON: from the pixels of the original and of the written one, both uint8 [H, W, 3]."""


def spent(original: NDArray[np.uint8], written: NDArray[np.uint8]) -> dict[str, Any]:
    """Return the largest change of a value in levels of 1/255, `linf`, and the norm of all changes in [0, 1], `l2`."""
    change = written.astype(np.int64) - original.astype(np.int64)
    return {"linf": int(np.abs(change).max()), "l2": float(np.sqrt(np.square(change).sum()) / 255)}


@dataclass(frozen=True)
class Output:
    """Where protected pictures are written to, and how.

    Attributes
    ----------
    folder
        One that is not there yet, is empty, or holds what a killed writer of the same protection left.
    form
        `png`, which loses nothing, or `jpeg`; archives of arrays and Parquet stay what they are.
    quality
        Of JPEG, 1 to 100; its colours are never subsampled.
    protection
        What tells this protection from every other, such as a key: only its own unfinished output is gone on with.
    measure
        What is kept of each picture with its digests: of the original and the written pixels, decoded again.
    known
        What a writer of the same protection that came to its end has written to the folder: what has changed since is
        written again.

    """

    folder: Path
    form: str = "png"
    quality: int = 95
    protection: str = ""
    measure: Measure = spent
    known: Sequence[Written] = ()

    def __post_init__(self) -> None:
        """Raise `SepbenchError` for a form that is none of those."""
        if self.form not in ENDINGS:
            raise SepbenchError(f"'{self.form}' is no form of output here: {' or '.join(ENDINGS)}")


class Writer(ABC):
    """Writes the protected pictures of a set to a folder.

    The folder is claimed first. Pictures are written in ascending order; what `done` returns need not be written again.

    Attributes
    ----------
    files
        Of each picture, where it is written: relative to the folder, with `/`; within a file of many after `#` its row.
    remarks
        What a person has to know of these names, clauses without a point.

    """

    files: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    def __init__(self, output: Output) -> None:
        self.out, self.form, self.quality, self.measure = output.folder, output.form, output.quality, output.measure
        how = f"{output.form} {output.quality}" if output.form == "jpeg" else output.form
        with writing(self.out, "--out"):
            self.journal = Journal(self.out, f"{output.protection} {how}", output.known)

    def claim(self) -> None:
        """Make the folder, and this writer the only one there; raises `SepbenchError` where another one writes."""
        with writing(self.out, "--out"):
            self.journal.claim()

    def release(self) -> None:
        """Let other writers go on in the folder."""
        self.journal.release()

    @abstractmethod
    def done(self, index: int) -> Written | None:
        """Return what was written of a picture by a run before this one, and stands; None where it has to be written.

        Of files of many pictures all or none are done.
        """

    @abstractmethod
    def write(self, index: int, picture: Picture, protected: NDArray[np.uint8]) -> Written:
        """Write a picture with protected pixels, uint8 [H, W, 3]; raises `DiskError` where the disk refuses."""

    def archives(self) -> tuple[Written, ...]:
        """Return the files of many pictures that are written."""
        return ()

    def finish(self) -> None:
        """Say that the output is whole, after all pictures and what stands beside them are written."""
        with writing(self.out, "--out"):
            for left in self.out.rglob(".*.tmp"):  # by a run that was killed while it wrote a file
                if is_temporary(left.name):
                    left.unlink()
            self.journal.close()


def keep_apart(out: Path, folder: Path) -> None:
    """Raise `SepbenchError` where an output folder is the folder of the originals, or lies in it."""
    there, here = folder.resolve(), out.resolve()
    if here == there or there in here.parents:
        where = "is the folder of the originals" if here == there else f"lies in {folder}, among the originals"
        raise SepbenchError(f"{out} {where}, which are never touched: give a folder elsewhere")
