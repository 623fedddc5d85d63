"""The labels of a protected set as those of its clean images."""

import numpy as np

from bench.core.errors import SepbenchError
from bench.data.releases.protected_set import Clean, Positions, Release


def labels_of(release: Release, clean: Clean) -> Positions | None:
    """Return the labels of a protected set as positions in the classes of the clean images; None where it has none.

    Classes of the same names are the same; where the names differ and there are as many, their order tells.

    Raises `SepbenchError` where a class has no counterpart.
    """
    if release.labels is None:
        return None
    ours, theirs = clean.source.classes, release.classes
    if theirs is None or theirs == ours:
        place = np.arange(len(ours))
    elif set(theirs) <= set(ours):
        place = np.array([ours.index(name) for name in theirs], np.int64)
    elif len(theirs) == len(ours):
        place = np.arange(len(ours))
    else:
        unknown = next(name for name in theirs if name not in ours)
        raise SepbenchError(
            f"{release.what} has a class '{unknown}', which {clean.name} has not: give the clean data that it was made "
            f"from, or call the classes alike"
        )
    low, high = int(release.labels.min()), int(release.labels.max())
    if low < 0 or high >= len(place):
        raise SepbenchError(
            f"{release.what} has labels from {low} to {high}, and {clean.name} has {len(ours)} classes, from 0 to "
            f"{len(ours) - 1}: give the clean data that it was made from"
        )
    return place[release.labels]


def on_labels(release: Release, labels: Positions | None, pairs: Positions, clean: Clean) -> str:
    """Return how labels stand to those of the clean images, as a clause."""
    if labels is None:
        return release.without_labels
    different = int((labels != clean.source.labels[pairs]).sum())
    if not different:
        renamed = release.classes is not None and not set(release.classes) <= set(clean.source.classes)
        return f"unchanged{', by the order of the classes, whose names differ' if renamed else ''}"
    return f"{different:,} of {len(labels):,} differ from the clean ones, with which victims are trained here"
