"""Whether the numbers of an array are the clean images themselves, on whichever scale they were left."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_SIDE = 16
_AT_A_TIME = 4096
_ALIKE = 0.9


@dataclass(frozen=True)
class Likeness:
    """How like clean images the entries of an array are.

    Attributes
    ----------
    units
        Units of the array from black to white.

    """

    units: float

    @property
    def white(self) -> float | None:
        """What white is: 1 or 255; None where it is neither, as in images that were normalised."""
        return next((white for white in (1.0, 255.0) if 0.7 * white <= self.units <= 1.4 * white), None)


def likeness(entries: NDArray[Any], clean: Iterator[NDArray[np.uint8]]) -> Likeness | None:
    """Compare entries, [N, H, W, 3] of any size, with all clean images, shrunk to 16x16.

    None where most are like none of them, or vary so little that they can be no more than what was added.
    """
    own = np.stack([_shrunk(entry) for entry in entries])
    best = np.full(len(own), -1.0)
    units = np.zeros(len(own))
    for others in _blocks(clean):
        found, slopes = _compared(own, others)
        rows, columns = np.arange(len(own)), found.argmax(1)
        better = found[rows, columns] > best
        best[better], units[better] = found[rows, columns][better], slopes[rows, columns][better]
    like = best > _ALIKE
    if like.mean() <= 0.5 or (typical := float(np.median(units[like]))) < 0.7:
        return None
    return Likeness(typical)


def _compared(own: NDArray[Any], others: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return correlations of each with each, and by how many units entries rise from black to white."""
    a, b = (one - one.mean(1, keepdims=True) for one in (own, others / 255))
    sizes, theirs = np.linalg.norm(a, axis=1)[:, None], np.linalg.norm(b, axis=1)[None]
    products = a @ b.T
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(products / (sizes * theirs), nan=-1.0), np.nan_to_num(products / theirs**2)


def _blocks(clean: Iterator[NDArray[np.uint8]]) -> Iterator[NDArray[Any]]:
    while block := [_shrunk(one) for one in islice(clean, _AT_A_TIME)]:
        yield np.stack(block)


def _shrunk(image: NDArray[Any]) -> NDArray[Any]:
    """Return an image of any numbers at 16x16, float64 [768]."""
    channels = [Image.fromarray(np.ascontiguousarray(one, np.float32)) for one in np.moveaxis(image, 2, 0)]
    small = [one.resize((_SIDE, _SIDE), Image.Resampling.BOX) for one in channels]
    return np.stack([np.asarray(one, np.float64) for one in small], 2).reshape(-1)
