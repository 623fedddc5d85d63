"""How fast this home's machines are: what stages took here, and timed batches, kept beside the artifacts.

Nothing here decides a result: a file that is damaged, or that another process overwrites, costs an estimate some truth.
"""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.core.disk import (
    DiskError,
    make_folder,
    write_atomically,
    writing,
)

_KEPT = 5
"""The newest so many measurements count: a machine that was busy once is not taken for slow."""

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Work(BaseModel):
    """What decides how fast images pass; two stages with equal fields go equally fast.

    Attributes
    ----------
    kind
        Training and crafting are what stages do, a batch is one that was only timed.
    networks
        Architectures that images pass through, in turn where there are several.
    detail
        What else tells: the defenses of a training run, the method of a craft, the version of torch of a batch.
    threads
        Of this process, 0 where a GPU does the work.

    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: Literal["train", "craft", "batch"]
    networks: Annotated[tuple[str, ...], Field(strict=False)]
    detail: str
    classes: int
    height: int
    width: int
    precision: str
    device: str
    threads: int
    compiled: bool = False

    def like(self, other: "Work") -> bool:
        """Tell whether the other differs in nothing but its detail."""
        return self.model_copy(update={"detail": other.detail}) == other

    @property
    def share(self) -> float:
        """What an image takes of the time that one of a timed batch takes: crafting needs no gradients of weights."""
        return 0.8 if self.kind == "craft" else 1.0

    def batches(self) -> list["Work"]:
        """Return for each of the networks the batch to time on the same device."""
        plain = {"kind": "batch", "detail": torch.__version__, "precision": "fp32", "compiled": False}
        return [self.model_copy(update={**plain, "networks": (network,)}) for network in self.networks]


class Pace(BaseModel):
    """The seconds that one image took to pass, oldest first, as measured for one kind of work."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    work: Work
    seconds: Annotated[tuple[Seconds, ...], Field(min_length=1, strict=False)]

    @property
    def usual(self) -> float:
        """The median."""
        return median(self.seconds)


class Paces:
    """The paces kept in one folder, as they were when first asked for.

    Parameters
    ----------
    folder
        Made when first written to; one small file for each kind of work.

    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def note(self, work: Work, seconds: float) -> None:
        """Keep a measurement, seconds an image, beside the newest earlier ones; what cannot be written is let go."""
        path = self.folder / f"{hashlib.sha256(work.model_dump_json().encode()).hexdigest()[:16]}.json"
        before = _read(path)
        kept = before.seconds[1 - _KEPT :] if before and before.work == work else ()
        with suppress(DiskError, ValidationError), writing(self.folder):
            data = Pace(work=work, seconds=(*kept, seconds)).model_dump_json(indent=1)
            make_folder(self.folder)
            write_atomically(path, f"{data}\n".encode(), durable=False)

    def of(self, work: Work) -> float | None:
        """Return the usual seconds an image, of equal work or else of all that differs in nothing but its detail."""
        equal = self._known.get(work)
        if equal is not None:
            return equal.usual
        alike = [pace.usual for pace in self._known.values() if pace.work.like(work)]
        return median(alike) if alike else None

    def timed(self, work: Work, time_batch: Callable[[Work], float]) -> float:
        """Return the seconds an image of a timed batch: the kept one, or a new one, which is kept."""
        if work not in self._known:
            seconds = time_batch(work)
            self._known[work] = Pace(work=work, seconds=(seconds,))
            self.note(work, seconds)
        return self._known[work].usual

    def correction(self, work: Work) -> float:
        """Return how many times as long stages took on the device as batches that were timed there said; else 1.

        Stages of the same kind tell, or all where there are none.
        """
        found: dict[str, list[float]] = {}
        for known, pace in self._known.items():
            batches = [self._known.get(batch) for batch in known.batches()] if known.kind != "batch" else []
            times = [batch.usual for batch in batches if batch is not None]
            if known.device == work.device and times and len(times) == len(batches):
                found.setdefault(known.kind, []).append(pace.usual / (known.share * sum(times) / len(times)))
        ratios = found.get(work.kind) or [ratio for several in found.values() for ratio in several]
        return median(ratios) if ratios else 1.0

    @cached_property
    def _known(self) -> dict[Work, Pace]:
        with suppress(OSError):
            paces = [_read(path) for path in sorted(self.folder.iterdir()) if path.suffix == ".json"]
            return {pace.work: pace for pace in paces if pace is not None}
        return {}


def _read(path: Path) -> Pace | None:
    try:
        return Pace.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
