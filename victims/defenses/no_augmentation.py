"""Training without crop and flip, which weakens perturbations that rely on being seen many times."""

from bench.api import DEFENSES, Augmentation, Defense


@DEFENSES.register("no-augmentation")
class NoAugmentation(Defense):
    """Train on the released images as they are, without crop and flip."""

    words = "training without crop and flip"

    def augmentation(self, augmentation: Augmentation) -> Augmentation:
        """Return an augmentation that does nothing."""
        return Augmentation()
