"""Early stopping by an appropriator who has clean test images: the most that stopping in time can win."""

from collections.abc import Sequence

from bench.api import DEFENSES, Defense


@DEFENSES.register("early-stopping")
class EarlyStopping(Defense):
    """The network of the epoch with the highest test accuracy is judged: an upper bound on stopping in time.

    Training itself is the recipe's. An appropriator would have to pick the epoch on clean images of its own.
    """

    words = "stopping at the best epoch"

    def judged_epoch(self, test_acc: Sequence[float]) -> int:
        """Return the first epoch of the highest test accuracy."""
        return max(range(len(test_acc)), key=test_acc.__getitem__)
