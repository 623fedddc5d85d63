"""Which clean image each protected one was made from: by name, by order, or by distance."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.core.errors import SepbenchError
from bench.data.releases.protected_set import Clean, Picture, Positions, Release, to_bytes

_FINE, _COARSE = 16, 8
_SAMPLE = 1000
_SAME = 40
"""Levels by which a protected image may differ from its clean one anywhere, once both are shrunk: no two photographs
are so alike."""
_NEAR = 0.35
"""Pairs that are this share of the distance of any two clean images apart, or less, belong together."""
_CLEARLY = 0.8
"""So much nearer than the next one a clean image must be to be the right one though it is far away."""
_MOST = 0.9
"""The share of images whose nearest clean image must be their own for an order to be taken for the right one."""
_AS_NEAR = 1e-2
"""Levels by which distances differ no more where clean images are copies of each other."""
_LITTLE = np.float32(16)
"""What a difference of labels adds to squares of distances: more than rounding of float32 does to those of copies."""
_CANDIDATES = 5
_BLOCK = 2**24
"""Distances that are held at a time."""
_MOST_LEFT = 4000

Features = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Pairing:
    """The clean image of each protected one.

    Attributes
    ----------
    clean
        Positions of the clean training images, each at most once, int64 [N].
    how
        How they were found, a sentence without a point.

    """

    clean: Positions
    how: str


def pair(release: Release, labels: Positions | None, clean: Clean) -> Pairing:
    """Return the clean image of each protected one.

    Images of the same relative name belong together, else those at the same place; where these are too far apart, the
    nearest clean image is taken, and none of them twice. Of several that are as near it is one of the same label where
    labels are known. Distances are those of images shrunk to 16x16.

    Parameters
    ----------
    release
        The protected set.
    labels
        Its labels as positions in the classes of the clean images, None where it has none.
    clean
        The clean images.

    Raises
    ------
    SepbenchError
        An image belongs to no clean one, or which one cannot be told.

    """
    if release.is_perturbation:
        _check_count(release, clean)
        _check_order(release, labels, clean)
        return Pairing(np.arange(len(release)), "by the order of the training images, which is all perturbations tell")
    proposed, how = _proposed(release, clean)
    _check_count(release, clean)
    own, others = _features(release), _clean_features(clean)
    typical = _typical(others)
    if proposed is not None:
        odd = np.flatnonzero(~_belong_together(own, others[proposed], typical))
        if not odd.size:
            return Pairing(proposed, how)
        share = _share_of_own(own, others, proposed)
        if share >= _MOST and not _others_fit(own[odd], others, typical):
            if _all_but_the_same(own, others[proposed]).all():
                return Pairing(proposed, how)
            far = f": {100 * share:.0f} % of those looked at are nearest to their own, though changed much"
            return Pairing(proposed, how + far)
    found, clear, tied = _nearest(own, others, labels, clean.source.labels)
    near = _all_but_the_same(own, others[found]) | (_distance(own, others[found]) <= _NEAR * typical)
    far_off = np.flatnonzero(~clear & ~near)
    if far_off.size > (1 - _MOST) * len(own):
        others_too = f", nor to {far_off.size - 1:,} more of the {len(own):,}" if far_off.size > 1 else ""
        first = release.where(int(far_off[0]))
        raise SepbenchError(
            f"no training image of {clean.name} is near to {first}{others_too}: give the clean data that it was made "
            f"from, or remove what was not"
        )
    doubtful = int((tied | (~clear & ~near)).sum())
    alike = f", {doubtful:,} of them not clearly" if doubtful else ""
    because = "" if proposed is None else f", as {'names' if how == 'by name' else 'the order'} did not fit"
    return Pairing(found, f"by distance, the nearest clean image{because}{alike}")


def _check_count(release: Release, clean: Clean) -> None:
    if len(release) > len(clean):
        raise SepbenchError(
            f"{release.what} holds {len(release):,} images, and {clean.name} has {len(clean):,} training images: give "
            f"the clean data that it was made from"
        )


def _check_order(release: Release, labels: Positions | None, clean: Clean) -> None:
    """Raise `SepbenchError` where labels say that perturbations are in another order than the clean images."""
    if labels is None or (labels != clean.source.labels).mean() <= 1 - _MOST:
        return
    raise SepbenchError(
        f"{release.what} has labels in another order than the training images of {clean.name}, and perturbations alone "
        f"do not tell which image they are for: give the protected images, or perturbations in that order"
    )


def _proposed(release: Release, clean: Clean) -> tuple[Positions | None, str]:
    if release.names and clean.names:
        place = {name: position for position, name in enumerate(clean.names)}
        if len(place) == len(clean.names) and len(set(release.names)) == len(release.names):
            known = [place.get(name) for name in release.names]
            lacking = [name for name, position in zip(release.names, known, strict=True) if position is None]
            if not lacking:
                return np.array(known, np.int64), "by name"
            if len(lacking) < len(known):
                more = f", nor have {len(lacking) - 1:,} more" if len(lacking) > 1 else ""
                where = release.where(release.names.index(lacking[0]))
                raise SepbenchError(
                    f"{where} has no clean image of its name in {clean.name}{more}: remove it, or give the clean "
                    f"images that it was made from"
                )
    if len(release) == len(clean):
        return np.arange(len(clean)), "in the same order"
    return None, ""


def _features(release: Release) -> Features:
    positions = np.arange(len(release))
    return _shrunk((to_bytes(one) for one in release.levels(positions, ())), len(positions))


def _clean_features(clean: Clean) -> Features:
    return _shrunk(clean.pictures(np.arange(len(clean))), len(clean))


def _shrunk(images: Iterator[Picture], count: int) -> Features:
    """Return images at 16x16, float32 [N, 16, 16, 3] in levels."""
    shrunk = np.empty((count, _FINE, _FINE, 3), np.float32)
    for row, image in enumerate(images):
        small = Image.fromarray(image).resize((_FINE, _FINE), Image.Resampling.BOX)
        shrunk[row] = np.asarray(small)
    return shrunk


def _coarse(features: Features) -> Features:
    half = _FINE // _COARSE
    pooled: Features = features.reshape(len(features), _COARSE, half, _COARSE, half, 3).mean((2, 4))
    return pooled.reshape(len(features), -1)


def _distance(own: Features, others: Features) -> Features:
    """Return the root of the mean square difference of pairs, in levels, [N]."""
    found: Features = np.sqrt(((own - others) ** 2).mean((1, 2, 3)))
    return found


def _typical(others: Features) -> float:
    """Return the median distance of any two clean images."""
    random = np.random.default_rng(0)
    first, second = (random.integers(len(others), size=_SAMPLE) for _ in range(2))
    different = first != second
    if not different.any():
        return float("inf")
    return float(np.median(_distance(others[first[different]], others[second[different]])))


def _all_but_the_same(own: Features, others: Features) -> NDArray[np.bool_]:
    """Tell which pairs differ little everywhere, [N]."""
    alike: NDArray[np.bool_] = np.abs(own - others).max((1, 2, 3), initial=0) <= _SAME
    return alike


def _belong_together(own: Features, others: Features, typical: float) -> NDArray[np.bool_]:
    """Tell which pairs differ little everywhere, also for images that are all much alike, [N]."""
    return _all_but_the_same(own, others) & (_distance(own, others) <= _NEAR * typical)


def _others_fit(own: Features, others: Features, typical: float) -> bool:
    """Tell whether images that differ much from the proposed clean one belong to another."""
    nearest = _candidates(_coarse(own), _coarse(others), 1)[:, 0]
    return bool(_belong_together(own, others[nearest], typical).any())


def _share_of_own(own: Features, others: Features, proposed: Positions) -> float:
    """Return the share of a sample of images whose nearest clean image is the proposed one, or as near."""
    sample = np.random.default_rng(1).permutation(len(own))[:_SAMPLE]
    nearest = _candidates(_coarse(own[sample]), _coarse(others), 1)[:, 0]
    reached = _distance(own[sample], others[nearest])
    return float((_distance(own[sample], others[proposed[sample]]) <= reached * 1.0001).mean())


def _nearest(
    own: Features, others: Features, labels: Positions | None, clean_labels: Positions
) -> tuple[Positions, NDArray[np.bool_], NDArray[np.bool_]]:
    """Return a different clean image for each, whether any other is far behind, and whether one is level with it.

    That is the nearest; where two want the same one the nearer gets it. Of those that are as near one of the same label
    counts as nearer; one that is level is of another class, and no label tells which of them it is.
    """
    called = None if labels is None else (labels, clean_labels)
    candidates = _candidates(_coarse(own), _coarse(others), min(_CANDIDATES, len(others)), called)
    distances = np.stack([_distance(own, others[column]) for column in candidates.T], 1)
    ranks = distances if labels is None else distances + _AS_NEAR * (labels[:, None] != clean_labels[candidates])
    found = np.full(len(own), -1, np.int64)
    taken = np.zeros(len(others), bool)
    for flat in np.argsort(ranks, axis=None, kind="stable"):
        row, column = divmod(int(flat), ranks.shape[1])
        one = candidates[row, column]
        if found[row] < 0 and not taken[one]:
            found[row], taken[one] = one, True
    left, free = np.flatnonzero(found < 0), np.flatnonzero(~taken)
    if left.size:
        called = None if labels is None else (labels[left], clean_labels[free])
        found[left] = free[_assigned(own[left], others[free], called)]
    reached = _distance(own, others[found])
    is_other = candidates != found[:, None]
    clear = reached <= _CLEARLY * np.where(is_other, distances, np.inf).min(1)
    level = is_other & (np.abs(distances - reached[:, None]) < _AS_NEAR)
    tied = (level & (clean_labels[candidates] != clean_labels[found][:, None])).any(1)
    return found, clear, tied if labels is None else tied & (labels != clean_labels[found])


def _assigned(own: Features, others: Features, labels: tuple[Positions, Positions] | None) -> Positions:
    from scipy.optimize import linear_sum_assignment

    if max(len(own), 1) * len(others) > _MOST_LEFT**2:
        raise SepbenchError(
            f"{len(own):,} protected images are nearest to clean ones that others are nearer to, so which belongs to "
            f"which cannot be told: give them in the order of the clean images"
        )
    a, b = own.reshape(len(own), -1), others.reshape(len(others), -1)
    costs = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T + _unlike(labels, slice(None))
    columns: Positions = linear_sum_assignment(costs)[1].astype(np.int64)
    return columns


def _unlike(labels: tuple[Positions, Positions] | None, rows: slice) -> Any:
    """Return what images of other labels are farther away, in squares: enough to choose among copies."""
    return 0 if labels is None else _LITTLE * (labels[0][rows, None] != labels[1][None])


def _candidates(
    own: Features, others: Features, count: int, labels: tuple[Positions, Positions] | None = None
) -> Positions:
    """Return the positions of the `count` nearest of others for each, [N, count], a block of distances at a time.

    Of those that are as near the ones of the same label count as nearer.
    """
    squares = (others**2).sum(1)
    found = np.empty((len(own), count), np.int64)
    step = max(1, _BLOCK // len(others))
    for start in range(0, len(own), step):
        rows = slice(start, start + step)
        distances = squares[None] - 2 * own[rows] @ others.T + _unlike(labels, rows)
        nearest = np.argpartition(distances, count - 1, axis=1)[:, :count] if count < len(others) else None
        found[start : start + step] = np.argsort(distances, axis=1)[:, :count] if nearest is None else nearest
    return found
