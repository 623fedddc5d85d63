"""What a set of pictures is like, learnt by decoding each of them once."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import SepbenchError
from bench.core.paths import file_digest
from bench.data.counts import names_of
from bench.data.originals.picture import Picture, Unfit


@dataclass(frozen=True, eq=False)
class Survey:
    """What all pictures of a set are like.

    Attributes
    ----------
    sizes
        Height and width of each in pixels, int64 [N, 2].
    grey
        Positions of those that came in with one channel of colour.
    transparent
        Positions of those with alpha.
    digests
        SHA-256 of the stored bytes of each, hex, and of the files that hold many: of what networks do not see, too.
    remarks
        What a person has to know of how they are read and what is not written again, clauses without a point.

    """

    sizes: NDArray[np.int64]
    transparent: tuple[int, ...]
    digests: tuple[str, ...]
    remarks: tuple[str, ...]


def survey(
    pictures: Iterable["Picture | SepbenchError"], names: tuple[str, ...], archives: Iterable[Path] = ()
) -> Survey:
    """Return what pictures are like, given one by one as they are decoded, or the error that each met.

    `archives` are the files that hold many.

    Raises `SepbenchError` where one or several cannot be decoded, or not be protected without loss: the first is named
    with the reason, the others are counted by kind and named as far as there is room.
    """
    sizes, transparent, digests = [], [], []
    metadata: Counter[str] = Counter()
    notes: dict[str, list[str]] = {}
    trouble: dict[str, SepbenchError] = {}
    for position, picture in enumerate(pictures):
        if isinstance(picture, SepbenchError):
            trouble[names[position]] = picture
            continue
        sizes.append(picture.size)
        digests.append(picture.sha256)
        transparent += [position] * (picture.alpha is not None)
        metadata.update(picture.metadata)
        for note in picture.notes:
            notes.setdefault(note, []).append(names[position])
    if trouble:
        raise _refusal(trouble)
    said = [f"{_those(found)}: {note}" for note, found in notes.items()]
    digests += map(file_digest, archives)
    remarks = (*said, *_dropped(metadata))
    return Survey(np.array(sizes, np.int64), tuple(transparent), tuple(digests), remarks)


def _refusal(trouble: dict[str, SepbenchError]) -> SepbenchError:
    first, *others = trouble.values()
    if not others:
        return first
    kinds = Counter(error.kind if isinstance(error, Unfit) else "cannot be decoded" for error in others)
    counted = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
    what = f"{first.where} {first.reason}" if isinstance(first, Unfit) else str(first).rpartition(": ")[0]
    return SepbenchError(
        f"{what}, and {len(others):,} more cannot be protected as they are ({counted}): {names_of([*trouble][1:])}; "
        f"repair them, convert them to 8-bit RGB or grey, such as PNG, or move them elsewhere"
    )


def _those(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1:,} more"


def _dropped(metadata: Counter[str]) -> tuple[str, ...]:
    if not metadata:
        return ()
    counted = ", ".join(f"{kind} of {count:,}" for kind, count in metadata.items())
    return (f"metadata is not written to protected pictures ({counted}), colour profiles are",)
