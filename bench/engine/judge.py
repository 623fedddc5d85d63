"""How good a victim is on clean test images."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


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

    It has a row for each of these, and as many columns as the victim has outputs.

    `relabelled_acc` is the accuracy after the best renaming of the outputs (Hungarian assignment): a victim that
    learned the classes under wrong names scores high there and below chance on `test_acc`.
    """

    counts = matrix.double()
    total = float(counts.sum())
    rows, columns = best_renaming(counts.numpy())
    present = counts.sum(1)
    per_class = 100 * counts.diagonal() / present.clamp_min(1)
    return {
        "test_acc": 100 * float(counts.diagonal().sum()) / total,
        "relabelled_acc": 100 * float(counts[rows, columns].sum()) / total,
        "test_acc_per_class": [round(float(value), 4) for value in per_class],
        "n_test": int(total),
    }
