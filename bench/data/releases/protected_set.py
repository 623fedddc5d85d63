"""A protected set as its files hold it, and the clean training images that it was made from."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.contracts.dataset import Source
from bench.core.errors import SepbenchError
from bench.data.decoding import Fit, pictures, stack
from bench.data.releases.arrays import Arrays
from bench.data.releases.meaning import Meaning

Picture = NDArray[np.uint8]
"""uint8 [H, W, 3]"""

Positions = NDArray[np.int64]

_AT_A_TIME = 128
"""Images that are held at once where they are not read in the order of their files."""


@dataclass(frozen=True, eq=False)
class Clean:
    """The clean training images, all of them, also those that nobody trains on.

    Attributes
    ----------
    name
        What messages call the data set.
    names
        Of the images, relative and without ending; empty where the files have none.
    resize, fit
        How the data set brings them to one size; None leaves sizes alone.

    """

    name: str
    source: Source
    names: tuple[str, ...] = ()
    resize: int | None = None
    fit: Fit = "crop"

    def __len__(self) -> int:
        return len(self.source.labels)

    def pictures(self, positions: Positions) -> Iterator[Picture]:
        """Yield images as they are stored, upright; some at a time, in any order."""
        return _in_any_order(self.source, positions)

    def as_trained_on(self) -> "Clean":
        """Return the same images as networks see them."""

        def read(positions: Positions) -> Iterator[Image.Image]:
            for start in range(0, len(positions), _AT_A_TIME):
                images, _ = stack(self.source, positions[start : start + _AT_A_TIME], self.resize, self.fit)
                yield from map(Image.fromarray, images.transpose(0, 2, 3, 1))

        return replace(self, source=replace(self.source, read=read))


class Release(ABC):
    """A protected set as its files hold it.

    Attributes
    ----------
    what
        What messages call it.
    told
        How it was read, sentences without a point.
    labels
        Positions in `classes`, or in those of the clean images where it has none, int64 [N]; None where it has none.
    names
        Of the images, relative and without ending; empty where the files have none.
    without_labels
        What is said of labels where it has none, as a clause.
    is_perturbation
        Whether it holds what was added to the clean images, rather than images.

    """

    what: str
    told: tuple[str, ...]
    labels: NDArray[np.int64] | None = None
    classes: tuple[str, ...] | None = None
    names: tuple[str, ...] = ()
    without_labels: str = "none in the file: those of the clean images"
    is_perturbation: bool = False

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def size(self) -> tuple[int, int]:
        """Return height and width of the first image."""

    @abstractmethod
    def levels(self, positions: Positions, clean: Sequence[Picture]) -> Iterator[NDArray[Any]]:
        """Yield protected images as levels of 1/255, [H, W, 3], uint8 as they are stored or float64 before rounding.

        `clean` are the clean images that they belong to, in the same order; only perturbations need them.
        """

    def where(self, position: int) -> str:
        """Return words that lead a person to one image."""
        return f"image {position} of {self.what}"


@dataclass(eq=False)
class Pictures(Release):
    """Encoded images in files, as a format of data sets reads them."""

    what: str
    source: Source
    told: tuple[str, ...] = ()
    labels: NDArray[np.int64] | None = None
    classes: tuple[str, ...] | None = None
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.source.labels)

    def size(self) -> tuple[int, int]:
        """Return height and width of the first image."""
        first = next(pictures(self.source, np.zeros(1, np.int64)))
        return first.shape[0], first.shape[1]

    def levels(self, positions: Positions, clean: Sequence[Picture]) -> Iterator[NDArray[Any]]:
        """Yield the decoded images."""
        return _in_any_order(self.source, positions)

    def where(self, position: int) -> str:
        """Return its file or row."""
        return self.source.where(position)


@dataclass(eq=False)
class Numbers(Release):
    """Images or perturbations in an array; `entries` tells whose is whose where several images share a perturbation."""

    arrays: Arrays
    meaning: Meaning
    told: tuple[str, ...]
    entries: Positions | None = None
    what: str = field(init=False)

    def __post_init__(self) -> None:
        self.what = self.arrays.what
        self.is_perturbation = self.meaning.kind == "perturbation"
        self.classes = self.arrays.classes

    def __len__(self) -> int:
        return len(self.arrays.values if self.entries is None else self.entries)

    def size(self) -> tuple[int, int]:
        """Return height and width of every entry."""
        height, width, _ = self.meaning.levels(np.asarray(self.arrays.values[0])).shape
        return height, width

    def levels(self, positions: Positions, clean: Sequence[Picture]) -> Iterator[NDArray[Any]]:
        """Yield the stored images, or the clean ones with what is added to them."""
        entries = positions if self.entries is None else self.entries[positions]
        if not self.is_perturbation:
            yield from (self.meaning.levels(np.asarray(self.arrays.values[entry])) for entry in entries.tolist())
            return
        for entry, picture in zip(entries.tolist(), clean, strict=True):
            own = self.meaning.levels(np.asarray(self.arrays.values[entry]))
            if own.shape != picture.shape:
                size, theirs = (f"{one.shape[1]}x{one.shape[0]}" for one in (own, picture))
                raise SepbenchError(
                    f"{self.what} holds perturbations of {size}, and the clean images are {theirs}: bring these to the "
                    f"size that they were made for, with --set dataset.resize={own.shape[0]}"
                )
            yield picture.astype(np.float64) + own


def to_bytes(levels: NDArray[Any]) -> Picture:
    """Return levels at the nearest whole ones from 0 to 255, uint8."""
    if levels.dtype == np.uint8:
        return levels
    released: Picture = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    return released


def comparable(release: Release, clean: Clean) -> tuple[Clean, bool]:
    """Return the clean images at the size that protected ones have, and whether that is the one that networks see.

    It is that of the files unless only protected images were brought to the training size.
    """
    side = (clean.resize, clean.resize)
    if clean.resize is None or release.size() != side:
        return clean, False
    # Every image counts, as some of them may have this size by chance; the first other one ends the search.
    if all(one.shape[:2] == side for one in clean.pictures(np.arange(len(clean)))):
        return clean, False
    protected = () if release.is_perturbation else release.levels(np.arange(len(release)), ())
    if any(one.shape[:2] != side for one in protected):
        return clean, False
    return clean.as_trained_on(), True


def _in_any_order(source: Source, positions: Positions) -> Iterator[Picture]:
    """Yield images in the order of `positions`: files of many images read them far faster from first to last."""
    for start in range(0, len(positions), _AT_A_TIME):
        part = positions[start : start + _AT_A_TIME]
        order = np.argsort(part, kind="stable")
        found = dict(zip(order.tolist(), pictures(source, part[order]), strict=True))
        yield from (found[row] for row in range(len(part)))


def without_ending(path: Path) -> str:
    """Return a relative path less the ending of its file, with `/` between folders."""
    return path.with_suffix("").as_posix()
