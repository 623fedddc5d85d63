"""Labelled images: as they are stored, and as tensors."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Decoded images of one size with their labels.

    Attributes
    ----------
    images
        uint8 [N, 3, H, W], contiguous.
    labels
        int64 [N], positions in `classes`.
    classes
        Class names.

    """

    images: "Tensor"
    labels: "Tensor"
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def sha256(self) -> str:
        """Digest of the content, 64 hexadecimal digits; the same bytes on every machine.

        SHA-256 over one line of JSON `{"classes": [...], "shape": [N, 3, H, W]}` (ASCII, no spaces, a newline
        at the end), then the labels as little-endian int64, then the images in C order.
        """
        header = {"classes": self.classes, "shape": tuple(self.images.shape)}
        digest = hashlib.sha256(json.dumps(header, sort_keys=True, separators=(",", ":")).encode() + b"\n")
        digest.update(self.labels.cpu().numpy().astype("<i8").tobytes())
        digest.update(np.ascontiguousarray(self.images.cpu().numpy()).data)
        return digest.hexdigest()


def in_both(images: "Tensor", *others: "Tensor") -> int:
    """Return how many of the images, uint8 [N, 3, H, W], stand byte for byte among others."""
    known = {digest for some in others for digest in _digests(some)}
    return sum(digest in known for digest in _digests(images))


def _digests(images: "Tensor") -> Iterator[bytes]:
    return (hashlib.blake2b(image, digest_size=16).digest() for image in np.ascontiguousarray(images.cpu().numpy()))


@dataclass(frozen=True, eq=False)
class Splits:
    """A data set: the training set, which methods protect in whole or in part, and the test set, which nobody touches.

    Attributes
    ----------
    extra
        By their number, further training images, none of them in `train`: clean images that a victim has besides.
    protected_classes
        Methods protect the training images of the first so many classes, and `test` is of these alone; None for all.
    remarks
        What a person has to know of how the images were read, clauses without a point.

    """

    train: ImageSet
    test: ImageSet
    extra: Mapping[int, ImageSet] = field(default_factory=dict)
    protected_classes: int | None = None
    remarks: tuple[str, ...] = ()

    @property
    def judged_classes(self) -> int:
        """The first so many classes are protected and judged."""
        return self.protected_classes or len(self.train.classes)

    @property
    def to_protect(self) -> "Tensor":
        """Positions of the training images that methods protect, int64 [n], ascending."""
        return (self.train.labels < self.judged_classes).nonzero()[:, 0]
