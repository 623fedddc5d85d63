"""What an experiment has in a home, as a catalogue of state files tells it."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from bench.data.images import Splits
from bench.plan.plan import Plan
from bench.plan.stage import CraftJob, Kind, Stage
from bench.run.stages.shards import range_of_shard
from bench.store.packing import Bytes

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]


class CarriedFile(BaseModel):
    """A file of tensors: its bytes and their digest as the store has them, the pieces it is made of.

    `info` is what a draft remembers beside it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    size: int = Field(ge=0)
    sha256: Digest
    pieces: list[int]
    info: dict[str, Any] | None = None


class Carried(BaseModel):
    """The work on one stage: an artifact with its `meta`, or a draft without."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: Kind
    key: Digest
    label: str
    meta: dict[str, Any] | None
    files: dict[FileName, CarriedFile]


class Catalogue(BaseModel):
    """What state files hold of an experiment, and of which plan it is.

    Attributes
    ----------
    experiment
        As `Experiment.resolved` writes it.
    cells
        Identities of the cells that are asked for.
    train_sha256
        Of the clean images that protected sets are stored as differences to.
    version, torch, device
        What they come from.

    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    experiment: dict[str, Any]
    cells: list[str]
    train_sha256: Digest
    test_sha256: Digest
    version: str
    torch: str
    device: str
    work: list[Carried]


def alike(stage: Stage, name: str, splits: Splits) -> Mapping[str, Bytes]:
    """Return the clean bytes that tensors of a stage's file are like, by the names of the tensors."""
    if not isinstance(stage.job, CraftJob):
        return {}
    clean = splits.train
    if name == "protected":
        return {"images": _bytes(clean.images), "labels": _bytes(clean.labels)}
    part = range_of_shard(name)
    return {} if part is None else {"images": _bytes(clean.images[splits.to_protect[part]])}


def _bytes(tensor: Any) -> Bytes:
    return np.ascontiguousarray(tensor.numpy()).view(np.uint8).ravel()


def in_order(plan: Plan) -> Iterator[Stage]:
    """Yield the stages of a plan, what is small and tells most first: victims, protected sets, surrogates."""
    yield from sorted(plan.stages.values(), key=lambda stage: ("victim", "craft", "surrogate").index(stage.kind))
