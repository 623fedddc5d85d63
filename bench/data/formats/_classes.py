"""Class names where a file may not carry any."""

import numpy as np
from numpy.typing import NDArray

Names = tuple[str, ...]


def shared_classes(train: Names | None, test: Names | None, labels: NDArray[np.int64]) -> tuple[Names, Names]:
    """Return the class names of the training and of the test set.

    A set without names of its own takes those of the other; where neither has any, the training labels,
    int64 [N], stand for them.
    """
    common = train or test or tuple(str(label) for label in np.unique(labels))
    return train or common, test or common
