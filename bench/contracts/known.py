"""Sizes of published data sets: what can be planned before the images are on this machine."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """How many classes and images a data set has, the images spread evenly over the classes; sizes in pixels.

    Attributes
    ----------
    source
        What it is, and where these numbers come from.

    """

    classes: int
    n_train: int
    n_test: int
    height: int
    width: int
    source: str


KNOWN = {
    "cifar10": Known(10, 50_000, 10_000, 32, 32, "CIFAR-10, Krizhevsky 2009"),
    "cifar10-jpeg75": Known(10, 50_000, 10_000, 32, 32, "CIFAR-10, Krizhevsky 2009"),
    "cifar100": Known(100, 50_000, 10_000, 32, 32, "CIFAR-100, Krizhevsky 2009"),
    "imagenet-100": Known(
        100, 130_000, 5_000, 224, 224, "100 classes of ImageNet, resized; few have less than 1,300 images"
    ),
    "tinyimagenet50": Known(50, 25_000, 2_500, 64, 64, "50 classes of Tiny ImageNet, its validation set as test set"),
}
"""Data sets by the names that experiments give them."""
