"""The digits that come with scikit-learn: a real data set without a download."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.api import DATASETS, DatasetPlugin, Source

_SIDE = 16
_TEST_IMAGES = 500


@DATASETS.register("digits")
class Digits(DatasetPlugin):
    """Handwritten digits of scikit-learn, grey 16x16: 1,297 training and 500 test images, no download.

    Stored as 8x8 with levels 0 to 16, brought to 0 to 255 and enlarged bilinearly. The split is stratified
    and always the same.
    """

    libraries = ("scikit-learn",)

    def open(self) -> tuple[Source, Source]:
        """Return the training and the test split."""
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        digits = load_digits()
        pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)
        labels = digits.target.astype(np.int64)
        train, test = train_test_split(np.arange(len(labels)), test_size=_TEST_IMAGES, stratify=labels, random_state=0)
        return _source(pixels, labels, np.sort(train)), _source(pixels, labels, np.sort(test))

    def files(self) -> list[Path]:
        """Return nothing: the images are part of scikit-learn."""
        return []


def _source(pixels: NDArray[np.uint8], labels: NDArray[np.int64], part: NDArray[np.int64]) -> Source:
    return Source(
        labels=labels[part],
        classes=tuple("0123456789"),
        read=lambda positions: (
            Image.fromarray(image).resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
            for image in pixels[part[positions]]
        ),
    )
