"""Labels as files store them, numbers or names, and the classes they stand for."""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.api import SepbenchError

Names = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Stored:
    """The labels of one split.

    Attributes
    ----------
    labels
        int64 [N], or the names of classes, str as object [N].
    names
        Class names that the file lists, None where it lists none.
    where
        From a position to words that lead a person to that label.

    """

    labels: NDArray[Any]
    names: Names | None
    where: Callable[[int], str]

    @property
    def is_text(self) -> bool:
        """Whether labels are the names of classes."""
        return self.labels.dtype == object


class Labelled(NamedTuple):
    """Labels, int64 [N], and the names of the classes they count."""

    labels: NDArray[np.int64]
    classes: Names


def own_classes(train: Stored) -> Labelled:
    """Return the labels and the class names of a training set without a test set, as `shared_classes` does."""
    return shared_classes(train, train)[0]


def shared_classes(train: Stored, test: Stored) -> tuple[Labelled, Labelled]:
    """Return the labels and the class names of the training and of the test set.

    A set without names of its own takes those of the other; where neither has any, the training labels stand for
    them: numbers for themselves, names in their order, which is that of numbers where all are whole numbers.

    Raises `SepbenchError` where one set has names for labels and the other numbers, or one of the names is no class.
    """
    if train.is_text != test.is_text:
        kinds = {True: "names of classes", False: "numbers"}
        raise SepbenchError(
            f"labels of the training set are {kinds[train.is_text]} ({train.where(0)}), those of the test set "
            f"{kinds[test.is_text]} ({test.where(0)}): store both in the same way"
        )
    common = train.names or test.names or _names_of(train)
    return _labelled(train, common), _labelled(test, common)


def _names_of(stored: Stored) -> Names:
    if not stored.is_text:
        return tuple(str(label) for label in np.unique(stored.labels))
    names = {_same(label) for label in stored.labels}
    numbers = all(name.isdecimal() for name in names)
    return tuple(sorted(names, key=lambda name: (int(name) if numbers else 0, name)))


def _labelled(stored: Stored, common: Names) -> Labelled:
    names = stored.names or common
    return Labelled(_numbered(stored, names) if stored.is_text else stored.labels, names)


def _numbered(stored: Stored, names: Names) -> NDArray[np.int64]:
    place = {_same(name): label for label, name in enumerate(names)}
    numbered = np.array([place.get(_same(label), -1) for label in stored.labels], np.int64)
    if (unknown := np.flatnonzero(numbered < 0)).size:
        first = int(unknown[0])
        raise SepbenchError(
            f"{stored.where(first)} has the label '{stored.labels[first]}', which is none of the {len(names)} classes "
            f"({', '.join(names[:5])}{', …' if len(names) > 5 else ''}): correct it, or give the class training images"
        )
    return numbered


def _same(name: str) -> str:
    """Return the one form of what Unicode can write in several ways."""
    return unicodedata.normalize("NFC", name)


def whole_numbers(labels: NDArray[Any], what: str, where: Callable[[int], str]) -> NDArray[np.int64]:
    """Return labels of any numeric type as int64, [N]; raises `SepbenchError` where one is no whole number."""
    if labels.dtype.kind == "f":
        broken = np.flatnonzero(~(np.isfinite(labels) & (labels == np.floor(labels))))
        if broken.size:
            first = int(broken[0])
            raise SepbenchError(
                f"{what} has the label {labels[first]:g} ({where(first)}): labels must be whole numbers, or names of "
                f"classes"
            )
    if (huge := np.flatnonzero(np.abs(labels.astype(np.float64)) >= 2.0**63)).size:
        first = int(huge[0])
        raise SepbenchError(
            f"{what} has the label {labels[first]} ({where(first)}): labels must count the classes from 0"
        )
    return labels.astype(np.int64)
