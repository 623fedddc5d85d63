"""Which checkpoints of a training run are used."""

from collections.abc import Sequence
from typing import Literal

from bench.core.errors import SepbenchError

Placement = Literal["equidistant", "first", "last", "improving"]


def place(count: int, placement: Placement, trained: int, test_acc: Sequence[float] | None = None) -> tuple[int, ...]:
    """Return the 0-based epochs of `count` checkpoints of a run of `trained` epochs, ascending.

    Parameters
    ----------
    placement
        `equidistant`: the i-th of n is epoch floor(i * trained / n) - 1 for i = 1..n: exactly equidistant where n
        divides the run, else spaced as evenly as whole epochs allow, always with the last epoch.
        `first`, `last`: that many consecutive epochs at the start or the end.
        `improving`: equidistant among the epochs that beat every earlier one on the test set, as released with the
        paper of SEP; it looks at test images, so that it is no setting for a protector.
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
    epochs = range(trained)
    if placement == "improving":
        assert test_acc is not None, "improving epochs are known after training"
        best = [max(test_acc[:epoch], default=-1.0) for epoch in epochs]
        epochs = [epoch for epoch in epochs if test_acc[epoch] > best[epoch]]  # type: ignore[assignment]
        if count > len(epochs):
            raise SepbenchError(
                f"{count} improving checkpoints were asked of a surrogate whose test accuracy improved in "
                f"{len(epochs)} epochs: ask for fewer"
            )
    return tuple(epochs[i * len(epochs) // count - 1] for i in range(1, count + 1))
