"""A perturbation of the size that networks see, brought to a picture's own size so that it is there after resizing.

What a victim sees of a picture of H x W pixels is A x B', two matrices that Pillow's bicubic resize is, one for each
side. The change D of the picture is looked for whose A D B' is nearest to the perturbation that was crafted, in the sum
of squares, within the budget and without leaving 0 to 255: a bounded least-squares problem.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.contracts.budget import Budget
from bench.core.errors import SepbenchError
from bench.data.decoding import Fit, covering, to_square

Floats = NDArray[np.floating[Any]]

_STEPS = 150
_CELLS = 3  # unknowns for each pixel that the network sees, along a side; of a large picture more gain nothing
_ENOUGH = 1e-5  # of the sum of squares, the least that a step has to win


def bring_to_own_size(
    picture: NDArray[np.uint8],
    crafted: NDArray[np.uint8] | Floats,
    fit: Fit,
    budget: Budget,
    *,
    grey: bool = False,
) -> NDArray[np.uint8]:
    """Return the protected picture at its own size.

    The budget holds at that size, too: under linf no value moves by more levels, and under l2 the norm of all changes
    of the picture is at most its size. An l2 budget spreads over all pixels of a larger picture, of which a network
    sees the means: of a perturbation that spends it about side / sqrt(H W) survives. linf loses nothing in this way.

    Parameters
    ----------
    picture
        uint8 [H, W, 3].
    crafted
        What the network is to see, uint8 or floats in [0, 1]: [3, side, side], or [3, H, W] where it sees the picture
        at its own size.
    fit
        How the network's data set brings pictures to its size.
    budget
        Of norm linf or l2, or unbounded; of norm l0 at the picture's own size alone.
    grey
        Perturb the three channels alike, by the mean of what was crafted for them, made as strong as it was: a grey
        picture stays grey then. It is meant for all pictures that came in grey. Where channels differ is gone once
        somebody reads such a picture as grey, which costs them nothing; their mean is what survives that.

    Returns
    -------
    uint8 [H, W, 3]; as crafted where the network sees the picture at its own size.

    Raises
    ------
    SepbenchError
        For a budget of norm l0 at another size: it counts pixels.

    """
    side = crafted.shape[-1]
    own_size = crafted.shape[1:] == picture.shape[:2]
    if budget.norm == "l0" and not own_size:
        raise SepbenchError(
            f"budget {budget} counts pixels, and pictures are not of the size that networks see: take linf or l2"
        )
    clean = picture if own_size else seen_at(picture, side, fit)
    wanted = _levels(crafted) - clean.transpose(2, 0, 1)
    largest = budget.size if budget.norm == "linf" and budget.size is not None else 255
    if grey:
        wanted = _alike(wanted).clip(-largest, largest)
    channels = len(wanted)
    here = picture[..., :channels].transpose(2, 0, 1).astype(np.float32)
    low, high = np.maximum(-largest, -here), np.minimum(largest, 255 - here)
    # A change of one channel that all three have is longer by the root of 3.
    radius = 255 * (budget.size or 0) / np.sqrt(3 / channels) if budget.norm == "l2" else None
    if own_size:
        change = _whole(wanted, np.float32(0.5), low, high, radius)
    else:
        change = _change(Resize.of(picture.shape[0], picture.shape[1], side, fit), wanted, low, high, radius)
    return np.ascontiguousarray((picture + change.transpose(1, 2, 0)).astype(np.uint8))


def seen_at(picture: NDArray[np.uint8], side: int, fit: Fit) -> Floats:
    """Return what a network sees of a picture, uint8 [H, W, 3], in levels of 1/255, float32 [side, side, 3]."""
    return np.asarray(to_square(Image.fromarray(picture), side, fit), np.float32)


@dataclass(frozen=True, eq=False)
class Resize:
    """Pillow's resize of pictures of one size, as two matrices.

    Attributes
    ----------
    rows, columns
        float32 [side, H] and [side, W].

    """

    rows: Floats
    columns: Floats

    @classmethod
    def of(cls, height: int, width: int, side: int, fit: Fit) -> "Resize":
        """Return the resize of pictures of H x W to a square."""
        to_width, to_height = covering((width, height), side) if fit == "crop" else (side, side)
        top, left = round((to_height - side) / 2), round((to_width - side) / 2)
        return cls(_matrix(height, to_height)[top : top + side], _matrix(width, to_width)[left : left + side])

    def __call__(self, change: Floats) -> Floats:
        """Return what is seen of a change, [C, H, W], as [C, side, side]; nothing is rounded."""
        return self.rows @ change @ self.columns.T

    def back(self, seen: Floats) -> Floats:
        """Return the adjoint of something seen, [C, side, side], as [C, H, W]."""
        return self.rows.T @ seen @ self.columns

    @property
    def gain(self) -> float:
        """The largest square by which it stretches a change."""
        return float((np.linalg.norm(self.rows, 2) * np.linalg.norm(self.columns, 2)) ** 2)


@lru_cache(maxsize=256)
def _matrix(length: int, to: int) -> Floats:
    """Return the matrix of Pillow's resize of one side, [to, length]: what it makes of each unit vector."""
    blocks = []
    for start in range(0, length, 512):
        units = np.eye(min(512, length - start), length, start, dtype=np.float32)
        resized = Image.fromarray(units).resize((to, len(units)), Image.Resampling.BICUBIC)
        blocks.append(np.asarray(resized).T)
    return np.ascontiguousarray(np.concatenate(blocks, axis=1))


def _alike(wanted: Floats) -> Floats:
    """Return the mean of a perturbation over its channels, [1, H, W], made so strong that three of it have its norm."""
    mean: Floats = wanted.mean(0, keepdims=True)
    norm = float(np.linalg.norm(mean)) * 3**0.5
    return mean * np.float32(np.linalg.norm(wanted) / norm) if norm else mean


def _change(resize: Resize, wanted: Floats, low: Floats, high: Floats, radius: float | None) -> Floats:
    """Return whole levels, [C, H, W], between `low` and `high`, that are seen as nearly what is wanted."""
    height, width = low.shape[1:]
    side = wanted.shape[-1]
    down, across = _Cells.of(height, _CELLS * side), _Cells.of(width, _CELLS * side)
    coarse = Resize(down.sums(resize.rows, 1), across.sums(resize.columns, 1))
    counts = (down.counts[:, None] * across.counts).astype(np.float32)
    least, most = (across.sums(down.sums(bound, 1), 2) / counts for bound in (low, high))
    best = _nearest(coarse, wanted, least, most, None if radius is None else (radius, counts))
    fine = best[:, down.of_each][:, :, across.of_each]
    return _rounded(resize, wanted, fine, low, high, radius)


@dataclass(frozen=True, eq=False)
class _Cells:
    """Neighbours along a side that change alike: in a large picture one pixel alone is hardly seen."""

    of_each: NDArray[np.int64]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, length: int, most: int) -> "_Cells":
        of_each = np.arange(length) * min(length, most) // length
        return cls(of_each, np.bincount(of_each))

    def sums(self, values: Floats, axis: int) -> Floats:
        starts = np.concatenate([[0], np.cumsum(self.counts)[:-1]])
        return np.add.reduceat(values, starts, axis=axis)


def _nearest(resize: Resize, wanted: Floats, low: Floats, high: Floats, ball: tuple[float, Floats] | None) -> Floats:
    """Solve the bounded least squares: projected gradient with momentum (Beck and Teboulle 2009, FISTA)."""
    step = 1 / resize.gain
    found = ahead = np.zeros_like(low)
    pace, before = 1.0, np.inf
    for _ in range(_STEPS):
        off = resize(ahead) - wanted
        now = float(np.square(off).sum())
        if before - now < _ENOUGH * before and now <= before:
            break
        if now > before:  # momentum has carried it past the best: go on without
            pace, ahead = 1.0, found
            before = np.inf
            continue
        before = now
        moved = _clipped(ahead - step * resize.back(off), low, high, ball)
        faster = (1 + (1 + 4 * pace**2) ** 0.5) / 2
        ahead = moved + np.float32((pace - 1) / faster) * (moved - found)
        found, pace = moved, faster
    return found


def _clipped(change: Floats, low: Floats, high: Floats, ball: tuple[float, Floats] | None) -> Floats:
    clipped = change.clip(low, high)
    if ball is None:
        return clipped
    radius, weights = ball
    norm = float(np.sqrt((np.square(clipped, dtype=np.float64) * weights).sum()))
    return clipped if norm <= radius else clipped * np.float32(radius / norm)


def _rounded(resize: Resize, wanted: Floats, change: Floats, low: Floats, high: Floats, radius: float | None) -> Floats:
    """Return a change in whole levels: to the nearest ones, or up and down in turn, whichever is seen as nearer."""
    in_turn = _whole(change, _in_turn(*change.shape[1:]), low, high, radius)
    if max(change.shape[1:]) > _CELLS * wanted.shape[-1]:
        return in_turn  # of equal neighbours: rounded to the nearest they would all be off by the same
    tried = [in_turn, _whole(change, np.float32(0.5), low, high, radius)]
    return min(tried, key=lambda one: float(np.square(resize(one) - wanted).sum()))


def _in_turn(height: int, width: int) -> Floats:
    """Return thresholds in [0, 1) that are even in every neighbourhood, [H, W]: what is cut off one is given the next.

    Multiples of the plastic number's powers (Roberts 2018, R2).
    """
    plastic = 1.32471795724474602596
    down, across = np.arange(height) / plastic % 1, np.arange(width) / plastic**2 % 1
    places = down[:, None].astype(np.float32) + across.astype(np.float32)
    return places - (places >= 1)


def _whole(change: Floats, offset: Floats | np.float32, low: Floats, high: Floats, radius: float | None) -> Floats:
    """Return whole levels within the bounds; the change is shrunk until their norm is at most the radius."""
    scale = 1.0
    while True:
        whole: Floats = change * np.float32(scale)
        whole += offset
        np.floor(whole, out=whole)
        np.clip(whole, low, high, out=whole)
        if radius is None:
            return whole
        norm = float(np.linalg.norm(whole.astype(np.float64)))
        if norm <= radius:
            return whole
        scale *= radius / norm * 0.999


def _levels(crafted: NDArray[np.uint8] | Floats) -> Floats:
    scale = 1 if crafted.dtype == np.uint8 else 255
    return np.asarray(crafted, np.float32) * np.float32(scale)
