"""The training set with protected images in the place of their clean ones."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.data.decoding import stack
from bench.data.releases.protected_set import Clean, Positions, Release, to_bytes

_AT_A_TIME = 128


def aligned(release: Release, pairs: Positions, clean: Clean, positions: Positions) -> NDArray[np.uint8]:
    """Return training images as networks see them, uint8 [n, 3, H, W].

    Parameters
    ----------
    release
        The protected set.
    pairs
        Position of the clean image of each of its images; one that is nobody's stays clean.
    clean
        The clean images at the size of the protected ones.
    positions
        Those of the training images that are wanted, in this order.

    """
    row_of = np.full(len(clean), -1, np.int64)
    row_of[pairs] = np.arange(len(pairs))

    def read(wanted: Positions) -> Iterator[Image.Image]:
        for start in range(0, len(wanted), _AT_A_TIME):
            part = wanted[start : start + _AT_A_TIME]
            rows = row_of[part]
            needed = part if release.is_perturbation else part[rows < 0]
            originals = dict(zip(needed.tolist(), clean.pictures(needed), strict=True))
            added_to = [originals[one] for one in part[rows >= 0].tolist()] if release.is_perturbation else []
            own = release.levels(rows[rows >= 0], added_to)
            for one, row in zip(part.tolist(), rows.tolist(), strict=True):
                yield Image.fromarray(to_bytes(next(own)) if row >= 0 else originals[one])

    return stack(replace(clean.source, read=read), positions, clean.resize, clean.fit)[0]
