"""Which checkpoints of a training run are used."""

from collections.abc import Sequence
from typing import Literal

from bench.core.errors import SepbenchError

Placement = Literal["equidistant", "first", "last", "improving"]

IMPROVING_VERSION = 2
"""Bumped when `improving` takes other epochs of the same run; part of the keys of what is crafted with it."""


def place(count: int, placement: Placement, trained: int, test_acc: Sequence[float] | None = None) -> tuple[int, ...]:
    """Return the 0-based epochs of `count` checkpoints of a run of `trained` epochs, ascending.

    Parameters
    ----------
    placement
        `equidistant`: the i-th of n is epoch floor(i * trained / n) - 1 for i = 1..n: exactly equidistant where n
        divides the run, else spaced as evenly as whole epochs allow, always with the last epoch.
        `first`, `last`: that many consecutive epochs at the start or the end.
        `improving`: of the N epochs that beat every earlier one on the test set, every s-th with s = floor(N / n), as
        released with the paper of SEP: from the s-th on, counted from 0, or else from the first start below that with
        which there are n; a start below 0 counts from the end. It looks at test images, so that it is no setting for
        a protector.
    test_acc
        Test accuracy after each epoch; only `improving` needs it.

    Raises
    ------
    SepbenchError
        There are fewer checkpoints than asked for.

    """
    if count > trained:
        raise SepbenchError(
            f"{count} checkpoints were asked of a surrogate that is trained for {trained} epochs: "
            f"ask for at most {trained}, or train longer with recipe.epochs"
        )
    if placement == "first":
        return tuple(range(count))
    if placement == "last":
        return tuple(range(trained - count, trained))
    if placement == "improving":
        assert test_acc is not None, "improving epochs are known after training"
        return _thinned(count, _improving(test_acc[:trained]))
    return tuple(i * trained // count - 1 for i in range(1, count + 1))


def _improving(test_acc: Sequence[float]) -> list[int]:
    best = [max(test_acc[:epoch], default=-1.0) for epoch in range(len(test_acc))]
    return [epoch for epoch, accuracy in enumerate(test_acc) if accuracy > best[epoch]]


def _thinned(count: int, saved: Sequence[int]) -> tuple[int, ...]:
    if count > len(saved):
        raise SepbenchError(
            f"{count} improving checkpoints were asked of a surrogate whose test accuracy improved in "
            f"{len(saved)} epochs: ask for fewer"
        )
    spacing = len(saved) // count
    starts = range(spacing, -len(saved) - 1, -1)
    found = (saved[start::spacing] for start in starts)
    return tuple(next(one for one in found if len(one) == count))
