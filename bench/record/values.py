"""What fills a table: titles, decimals, and which end of the scale is good."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Value:
    """How a record field is shown. `better` is None where neither end of the scale is."""

    title: str
    decimals: int
    better: str | None = None


# The others go by their field name with one decimal. A protection is good where little can be learned from its images.
VALUES = {
    "test_acc": Value("test accuracy (%)", 1, "lowest"),
    "peak_acc": Value("peak test accuracy (%)", 1, "lowest"),
    "train_acc": Value("training accuracy (%)", 1),
    "relabelled_acc": Value("relabelled test accuracy (%)", 1, "lowest"),
    "n_train": Value("training images", 0),
    "n_test": Value("test images", 0),
    "n_test_in_train": Value("test images in the training set", 0),
    "epochs": Value("epochs", 0),
    "linf_levels": Value("largest linf change (levels of 1/255)", 0),
    "l2": Value("largest l2 change (pixels in [0, 1])", 2),
    "l0": Value("largest number of changed pixels", 0),
    "psnr": Value("PSNR (dB)", 1, "highest"),
    "ssim": Value("SSIM", 3, "highest"),
    "craft_passes": Value("crafting passes", 0, "lowest"),
    "craft_seconds": Value("crafting time (s)", 1, "lowest"),
    "surrogate_seconds": Value("surrogate training time (s)", 1),
    "train_seconds": Value("victim training time (s)", 1),
    "peak_memory_mb": Value("peak memory (MiB)", 0),
}


OF_TEST_IMAGES = frozenset({"test_acc", "peak_acc", "relabelled_acc"})
"""Accuracies on clean test images: what a protection lowers below that of the clean reference."""


def value_of(field: str) -> Value:
    """Return how a record field is shown."""
    return VALUES.get(field, Value(field, 1))
