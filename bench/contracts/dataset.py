"""What every data-set format provides, and the formats by name."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.contracts import places
from bench.contracts.known import Known
from bench.contracts.plugin import P_co, Plugin, breach_of
from bench.core.registry import Registry

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, eq=False)
class Source:
    """One stored split, nothing decoded yet.

    Attributes
    ----------
    labels
        int64 [N], positions in `classes`.
    classes
        Class names.
    read
        From positions, int64 [n], to those images, decoded one by one in that order; of any mode and size.
    where
        From a position to words that lead a person to that image, for errors.
    paths
        The files or the folder that hold this split alone, as a person has named them: none of them may be the other
        split's. None where nobody named any.

    """

    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    read: Callable[[NDArray[np.int64]], "Iterator[Image]"]
    where: Callable[[int], str] = "image {}".format
    paths: tuple[Path, ...] = ()

    def part(self, chosen: NDArray[np.int64]) -> "Source":
        """Return the images at some positions, int64 [n], in that order; no path is theirs alone."""
        return Source(
            labels=self.labels[chosen],
            classes=self.classes,
            read=lambda positions: self.read(chosen[positions]),
            where=lambda position: self.where(int(chosen[position])),
        )


class DatasetPlugin(Plugin[P_co], ABC):
    """Base of the data-set formats. Paths are `str` parameters or lists of these, with `~` and `${NAME}` expanded.

    Both methods raise `SepbenchError` where a file is missing or is not what it should be; `NotHere` where the data was
    never brought to this machine, and nobody said where it is. `known` are the sizes of a format that holds one
    published data set, so that experiments on it can be planned all the same. `libraries` are the packages, as pip
    calls them, whose version may decide the data.
    """

    known: ClassVar[Known | None] = None
    libraries: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def open(self) -> tuple[Source, Source | None]:
        """Return the training and the test split without decoding images; None where there are no test images."""

    @abstractmethod
    def files(self) -> list[Path]:
        """Return every file whose content decides the data; none where the data comes with one of `libraries`.

        A plan reads none of them while size, times and inode of each are what they were. So it notices whatever is
        written or put in their place, also where size and time of writing are the old ones, but for file systems that
        keep no time of change.
        """

    def remarks(self) -> tuple[str, ...]:
        """Return what a person has to know of these files, such as how many were passed over: clauses without a point.

        They are said whenever the data set is planned or run, and decide nothing.
        """
        return ()


DATASETS: Registry[type[DatasetPlugin]] = Registry.at(places.DATASETS, lambda kind: breach_of(kind, DatasetPlugin))
