"""What a protected set differs by from its clean images, image by image."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import SepbenchError
from bench.data.releases.protected_set import Clean, Picture, Release, to_bytes

_AT_A_TIME = 128


@dataclass(frozen=True, eq=False)
class Spent:
    """What was spent on each protected image, on the 8-bit pixels.

    Attributes
    ----------
    linf
        Largest change of a value, in levels of 1/255, int64 [N].
    l2
        Norm of the perturbation on the [0, 1] scale, float64 [N].
    l0
        Changed pixel positions, int64 [N].
    values
        How many values all images have.
    floats
        Whether values were rounded to levels.
    off, most_off
        By how many levels they were off whole ones, on average and at most.
    clipped
        How many were below 0 or above 255 before.

    """

    linf: NDArray[np.int64]
    l2: NDArray[np.float64]
    l0: NDArray[np.int64]
    values: int
    floats: bool
    off: float
    most_off: float
    clipped: int

    @property
    def changed(self) -> int:
        """How many images differ from their clean ones at all."""
        return int((self.linf > 0).sum())

    def most(self) -> dict[str, Any]:
        """Return the largest of each norm, by the names that an audit gives them."""
        return {"linf_levels": int(self.linf.max()), "l2": float(self.l2.max()), "l0": int(self.l0.max())}

    def by_field(self) -> Mapping[str, NDArray[Any]]:
        """Return what was spent on each image by the audit's field of its norm."""
        return {"linf_levels": self.linf, "l2": self.l2, "l0": self.l0}


def measure(release: Release, pairs: NDArray[np.int64], clean: Clean) -> Spent:
    """Return what was spent on each image of a protected set.

    `pairs` are the positions of their clean images.

    Raises `SepbenchError` where a protected image has another size than its clean one.
    """
    count = len(pairs)
    linf, l0 = np.zeros(count, np.int64), np.zeros(count, np.int64)
    l2 = np.zeros(count)
    values = clipped = 0
    off = most_off = 0.0
    floats = False
    for start in range(0, count, _AT_A_TIME):
        rows = np.arange(start, min(start + _AT_A_TIME, count))
        originals = list(clean.pictures(pairs[rows]))
        for row, original, levels in zip(rows.tolist(), originals, release.levels(rows, originals), strict=True):
            if levels.shape != original.shape:
                raise SepbenchError(_sizes_differ(release, row, levels, original, clean))
            released = to_bytes(levels)
            if levels.dtype != np.uint8:
                floats = True
                errors = np.abs(levels - np.rint(levels))
                off, most_off = off + float(errors.sum()), max(most_off, float(errors.max()))
                clipped += int(((levels < -0.5) | (levels > 255.5)).sum())
            difference = released.astype(np.int64) - original
            linf[row] = np.abs(difference).max()
            l2[row] = np.sqrt((difference**2).sum()) / 255
            l0[row] = (difference != 0).any(2).sum()
            values += difference.size
    return Spent(linf, l2, l0, values, floats, off / max(values, 1), most_off, clipped)


def _sizes_differ(release: Release, row: int, levels: NDArray[Any], original: Picture, clean: Clean) -> str:
    own, theirs = (f"{one.shape[1]}x{one.shape[0]}" for one in (levels, original))
    square = levels.shape[0] == levels.shape[1]
    advice = f"set --set dataset.resize={levels.shape[0]} if clean images were brought to that size" if square else ""
    return (
        f"{release.where(row)} is {own}, its clean image in {clean.name} {theirs}: "
        f"{advice or 'give the clean images that it was made from'}"
    )
