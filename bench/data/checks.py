"""Splits that make sense together: their labels, their class names, where they are from."""

import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.contracts.dataset import Source
from bench.core.errors import SepbenchError
from bench.core.outside import is_printable


def with_composed_names(name: str, part: str, source: Source) -> Source:
    """Return a split with its class names in composed form, Unicode's NFC, in which all formats compare and show them.

    Macs and archives made on them may write é as two characters, where other systems write one. Raises `SepbenchError`
    where two classes of the split become one so, or a name would act on a terminal instead of being shown.

    Parameters
    ----------
    name
        What the data set is called, for the message.
    part
        `training` or `test`.
    source
        The split as its plug-in opened it.

    """
    odd = next((given for given in source.classes if not is_printable(given)), None)
    if odd is not None:
        raise SepbenchError(
            f"the {part} set of '{name}' has a class called {odd!a}, which cannot be printed: rename it"
        )
    composed: dict[str, str] = {}
    for given in source.classes:
        other = composed.setdefault(unicodedata.normalize("NFC", given), given)
        if other != given:
            raise SepbenchError(
                f"the {part} set of '{name}' has two classes called '{given}', written in two forms of Unicode "
                f"({other!a} and {given!a}): make them one, or rename one"
            )
    return replace(source, classes=tuple(unicodedata.normalize("NFC", given) for given in source.classes))


def check_labels(name: str, train: Source, test: Source | None) -> None:
    """Raise `SepbenchError` unless labels count the classes from 0 without gaps and the splits agree.

    Parameters
    ----------
    name
        What the data set is called, for the message.
    train, test
        The splits as their plug-in opened them; None where nobody is judged.

    """
    for part, source in (("training", train), ("test", test)):
        if source is None:
            continue
        if not len(source.labels):
            raise SepbenchError(f"the {part} set of '{name}' is empty: it needs at least one image")
        if source.labels.min() < 0:
            place = _first(source, source.labels < 0)
            raise SepbenchError(f"the {part} set of '{name}' has {place}: labels must count the classes from 0")

    if test is not None and train.classes != test.classes:
        raise SepbenchError(
            f"the classes of '{name}' differ: {_difference(train.classes, test.classes)}, "
            f"and both sets need the same classes in the same order"
        )

    last = len(train.classes) - 1
    rule = f"labels must run from 0 to {last}, without gaps"
    if train.labels.max() > last:
        place = _first(train, train.labels > last)
        raise SepbenchError(f"the training set of '{name}' has {place} but {last + 1} classes: {rule}")
    absent = np.setdiff1d(np.arange(last + 1), train.labels)
    if len(absent):
        label = int(absent[0])
        raise SepbenchError(f"no training image of '{name}' has label {label} (class '{train.classes[label]}'): {rule}")
    if test is not None and test.labels.max() > last:
        place = _first(test, test.labels > last)
        raise SepbenchError(f"the test set of '{name}' has {place}, a class that the training set lacks: {rule}")


def check_apart(name: str, train: Source, test: Source) -> None:
    """Raise `SepbenchError` where both splits come from one file or folder, however its path is written."""
    places = {place for path in train.paths for place in _place(path)}
    for path in test.paths:
        if not places.isdisjoint(_place(path)):
            raise SepbenchError(
                f"training and test images of '{name}' are the same, {path}: give the path of other test images, or "
                f"set dataset.allow_same_files to true to judge victims on what they were trained on"
            )


def check_judged_classes(name: str, test: Source, judged: int) -> None:
    """Raise `SepbenchError` where one of the first `judged` classes has no test image."""
    counts = np.bincount(test.labels, minlength=judged)[:judged]
    empty = np.flatnonzero(counts == 0)
    if len(empty):
        others = f", nor of {len(empty) - 1} more of the {judged}" if len(empty) > 1 else ""
        raise SepbenchError(
            f"the test set of '{name}' has no image of class '{test.classes[empty[0]]}'{others}: add some, or set "
            f"dataset.allow_empty_test_classes to true, and such a class has no accuracy"
        )


def _place(path: Path) -> Iterator[tuple[int, int]]:
    try:
        state = path.stat()
    except OSError:  # gone since it was opened: reading it tells
        return
    yield state.st_dev, state.st_ino


def _first(source: Source, wrong: NDArray[np.bool_]) -> str:
    position = int(wrong.argmax())
    return f"label {source.labels[position]} ({source.where(position)})"


def _difference(train: tuple[str, ...], test: tuple[str, ...]) -> str:
    for here, there, part in ((train, test, "training"), (test, train, "test")):
        alone = [name for name in here if name not in there]
        if alone:
            alike = next((name for name in there if name.strip().casefold() == alone[0].strip().casefold()), None)
            twin = "" if alike is None else f" where the other has '{alike}'"
            return f"only the {part} set has '{alone[0]}'{twin}"
    label = next(label for label, names in enumerate(zip(train, test, strict=False)) if names[0] != names[1])
    return f"label {label} is '{train[label]}' in the training set and '{test[label]}' in the test set"
