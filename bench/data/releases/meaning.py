"""What the numbers of an array are: images or perturbations, on which scale, with which axes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import SepbenchError
from bench.data.releases.seen_in import Likeness

Kind = Literal["images", "perturbation"]

_LEVELS = 255.0
_SMALL = 64.0
"""Levels of 1/255: non-negative floats of no more than so many are perturbations, as no photographs are so dark."""
_OVERSHOOT = 64.0
"""Levels by which values of images may be beyond black and white, as where nobody clipped them."""
_BEYOND = 1 + _OVERSHOOT / _LEVELS
_SAMPLE = 16
_CHUNK_VALUES = 2**24


@dataclass(frozen=True)
class Meaning:
    """How the values of an array become levels of 1/255.

    Attributes
    ----------
    factor
        What a value is multiplied by.
    axes
        Of one entry: `HWC`, `CHW` or `HW`.
    rule
        Why, as the end of a sentence.

    """

    kind: Kind
    factor: float
    axes: Literal["HWC", "CHW", "HW"]
    rule: str

    def levels(self, entry: NDArray[Any]) -> NDArray[Any]:
        """Return one entry as levels, [H, W, 3]: uint8 for bytes as they are stored, else float64."""
        if self.axes == "CHW":
            entry = entry.transpose(1, 2, 0)
        if self.axes == "HW":
            entry = entry[..., None]
        if entry.shape[2] == 1:
            entry = np.repeat(entry, 3, axis=2)
        if entry.dtype == np.uint8 and self.factor == 1:
            return np.ascontiguousarray(entry)
        scaled: NDArray[Any] = entry.astype(np.float64) * self.factor
        return scaled


def meaning_of(
    values: NDArray[Any],
    what: str,
    wanted: Kind | None,
    scale: float | None,
    compare: Callable[[NDArray[Any]], Likeness | None],
) -> Meaning:
    """Decide what the numbers of an array are.

    Bytes are images. Of other numbers those with negative ones among them are perturbations, in units of 1 where none
    is beyond 1, else in levels of 1/255, unless `compare` finds that entries, [N, H, W, 3], are the clean images; what
    those have beyond black and white is cut off. Floats from 0 on are images, with white at 1 or at 255, unless the
    largest is at most 64 levels. Whole numbers count levels. `wanted` and `scale`, levels in a unit, overrule this.

    Raises `SepbenchError` where the shape is none of images, a number is not finite or beyond 255 levels, or images
    are normalised.
    """
    if scale is not None and not (np.isfinite(scale) and scale > 0):
        raise SepbenchError(f"--scale {scale:g}: must be a number above 0, of levels of 1/255 in a unit")
    axes = _axes(values, what)
    low, high = _range(values, what)
    if values.dtype.kind == "b":
        raise SepbenchError(f"{what} holds true and false, which are no levels: save numbers")
    kind, factor, rule = _decided(values.dtype, low, high)
    if wanted is None and kind == "perturbation" and values.dtype != np.int8 and (low < 0 or 1 < high <= _BEYOND):
        some = np.unique(np.linspace(0, len(values) - 1, min(len(values), _SAMPLE)).astype(np.int64))
        like = compare(np.stack([Meaning("images", 1.0, axes, "").levels(np.asarray(values[one])) for one in some]))
        if like is not None:
            kind, factor, rule = _clean_ones(like, what, low, high)
    elif wanted is not None and wanted != kind:
        kind, rule = wanted, "as --as says"
        if kind == "images" and (low < 0 or high > 1):
            factor = _LEVELS if high <= _BEYOND and values.dtype.kind == "f" else 1.0
    if scale is not None:
        factor, rule = scale, f"{rule}, with {scale:g} levels in a unit as --scale says"
    beyond = _OVERSHOOT if kind == "images" and (values.dtype.kind == "f" or low < 0) else _LEVELS / 1000
    if kind == "images" and low * factor < -beyond:
        raise SepbenchError(
            f"{what} has values down to {low:g}, and images go from 0 to 1 or to 255: if they were normalised, undo "
            f"that before you save them"
        )
    if max(-low, high) * factor > _LEVELS + beyond:
        raise SepbenchError(
            f"{what} has values from {low:g} to {high:g}, which with {factor:g} levels in a unit is beyond 255 levels: "
            f"give the right number of levels of 1/255 in a unit with --scale"
        )
    return Meaning(kind, factor, axes, rule)


def _clean_ones(like: Likeness, what: str, low: float, high: float) -> tuple[Kind, float, str]:
    span = f"{low:.4g} to {high:.4g}"
    if like.white is None:
        raise SepbenchError(
            f"{what} has values from {span}, which are the clean images on another scale, as where they were "
            f"normalised: undo that before you save them, or say --as perturbation if this is what was added"
        )
    return "images", _LEVELS / like.white, f"numbers from {span}: the clean images with white at {like.white:g}"


def _decided(dtype: np.dtype[Any], low: float, high: float) -> tuple[Kind, float, str]:
    span = f"{low:.4g} to {high:.4g}"
    if dtype == np.uint8:
        return "images", 1.0, "bytes are images"
    if dtype.kind in "iu":
        if low < 0 or dtype == np.int8:
            return "perturbation", 1.0, f"whole numbers from {span} are levels of 1/255"
        return "images", 1.0, f"whole numbers from {span} are levels of images"
    largest = max(-low, high)
    if low < 0:
        if largest <= 1:
            return "perturbation", _LEVELS, f"floats from {span}: negative, none beyond 1, so in units of 1"
        return "perturbation", 1.0, f"floats from {span}: negative, some beyond 1, so in levels of 1/255"
    if high <= _SMALL / _LEVELS:
        return "perturbation", _LEVELS, f"floats from {span}: too dark for images, so perturbations in units of 1"
    if high <= 1:
        return "images", _LEVELS, f"floats from {span}: images with white at 1"
    if high <= _SMALL:
        return "perturbation", 1.0, f"floats from {span}: too dark for images, so perturbations in levels of 1/255"
    return "images", 1.0, f"floats from {span}: images with white at 255"


def _axes(values: NDArray[Any], what: str) -> Literal["HWC", "CHW", "HW"]:
    shape = values.shape
    if 0 in shape[1:]:
        raise SepbenchError(f"{what} has shape {list(shape)}, in which there is not one pixel: save it again")
    if len(shape) == 4 and shape[3] in (1, 3):
        return "HWC"
    if len(shape) == 4 and shape[1] in (1, 3):
        return "CHW"
    if len(shape) == 3:
        return "HW"
    raise SepbenchError(
        f"{what} has shape {list(shape)}: images and perturbations are [N, H, W, 3], [N, 3, H, W] or [N, H, W]"
    )


def _range(values: NDArray[Any], what: str) -> tuple[float, float]:
    low, high = np.inf, -np.inf
    for part in chunks(values):
        smallest, largest = float(part.min()), float(part.max())
        if not (np.isfinite(smallest) and np.isfinite(largest)):
            raise SepbenchError(f"{what} holds numbers that are not finite: NaN and infinity are no levels")
        low, high = min(low, smallest), max(high, largest)
    return low, high


def chunks(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield parts of an array, some of its entries each, that take little memory."""
    step = max(1, _CHUNK_VALUES // max(1, int(np.prod(values.shape[1:]))))
    for start in range(0, len(values), step):
        yield values[start : start + step]
