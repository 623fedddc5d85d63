"""A test set out of the training images, where a data set has none."""

import numpy as np
from numpy.typing import NDArray

from bench.contracts.dataset import Source
from bench.core.errors import SepbenchError


def held_out(train: Source, share: float, name: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the positions that stay training images and those that become test images, both int64 and ascending.

    Of each class the same share is drawn, rounded, but one image at least and never all. The same labels
    give the same positions.

    Parameters
    ----------
    train
        All training images.
    share
        In [0, 1); 0 holds out none.
    name
        What the data set is called, for messages.

    Raises
    ------
    SepbenchError
        A class has a single image, and a share of each is held out.

    """
    if share == 0:
        return np.arange(len(train.labels)), np.arange(0)
    labels, counts = np.unique(train.labels, return_counts=True)  # of which nobody has asked yet whether they fit
    single = labels[counts == 1]
    if len(single):
        position = int(np.flatnonzero(train.labels == single[0])[0])
        others = f", and so have {len(single) - 1} more" if len(single) > 1 else ""
        raise SepbenchError(
            f"'{name}' has a single image with label {single[0]} ({train.where(position)}){others}: dataset.holdout "
            f"needs two of each class, one to train on and one to judge; add images, remove the class, or give test "
            f"images"
        )
    # Its draws are the same in all versions of numpy, which those of default_rng need not be.
    draws = np.random.RandomState(0).random_sample(len(train.labels))
    held = np.zeros(len(train.labels), dtype=bool)
    for label, count in zip(labels.tolist(), counts.tolist(), strict=True):
        of_class = np.flatnonzero(train.labels == label)
        wanted = min(max(round(share * count), 1), count - 1)
        held[of_class[np.argsort(draws[of_class], kind="stable")[:wanted]]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)
