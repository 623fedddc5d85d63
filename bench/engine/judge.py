"""How good a victim is on clean test images."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.core.errors import SepbenchError


def confusion(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return how many images of class i (rows) were taken for class j (columns), int64 [classes, classes]."""
    return torch.bincount(labels * classes + predicted, minlength=classes * classes).view(classes, classes).cpu()


def best_renaming(confusion: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return classes and the outputs that stand for them in the one-to-one assignment of highest accuracy.

    `confusion` is [classes, outputs]; each class has an output where there are as many of these.
    """
    from scipy.optimize import linear_sum_assignment  # half a second to import, which planning need not wait for

    classes, outputs = linear_sum_assignment(confusion, maximize=True)
    return np.asarray(classes, dtype=np.int64), np.asarray(outputs, dtype=np.int64)


def outcome(matrix: Tensor) -> dict[str, Any]:
    """Return the test accuracies of a record, in percent, from the confusion matrix of the classes that are judged.

    It has a row for each of these, and as many columns as the victim has outputs. `test_acc` and `relabelled_acc` are
    shares of all its images; a class without images has no accuracy, None in `test_acc_per_class`.

    `relabelled_acc` is the accuracy after the best renaming of the outputs (Hungarian assignment): a victim that
    learned the classes under wrong names scores high there and below chance on `test_acc`.

    Raises `SepbenchError` where there are no images at all.
    """

    counts = matrix.double()
    total = float(counts.sum())
    if not total:
        raise SepbenchError("no test image is of a class that is judged: there is no accuracy without one")
    rows, columns = best_renaming(counts.numpy())
    per_class = zip((100 * counts.diagonal()).tolist(), counts.sum(1).tolist(), strict=True)
    return {
        "test_acc": 100 * float(counts.diagonal().sum()) / total,
        "relabelled_acc": 100 * float(counts[rows, columns].sum()) / total,
        "test_acc_per_class": [round(right / images, 4) if images else None for right, images in per_class],
        "n_test": int(total),
    }
