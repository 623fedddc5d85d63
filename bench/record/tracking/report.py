"""What a stage tells the experiment log once it has ended."""

from dataclasses import dataclass, field
from functools import cache
from typing import ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter

from bench.record.record import Record


@dataclass(frozen=True)
class DatasetRef:
    """A data set that a stage read. `digest` is the sha256 of its bytes, 64 hexadecimal digits."""

    name: str
    context: Literal["training", "testing"]
    digest: str


@dataclass(frozen=True)
class StageReport:
    """One stage, run once to its end: becomes one child run in MLflow.

    `params` are flat with dotted names. `curves` hold one value per epoch, from epoch 0. `started` and
    `ended` are seconds since the Unix epoch. A failed stage has a `reason`; a victim has its `record`.
    """

    # A diverged training has NaN losses, which JSON proper cannot hold.
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(ser_json_inf_nan="constants")

    kind: Literal["surrogate", "craft", "victim"]
    key: str
    started: float
    ended: float
    status: Literal["done", "failed"]
    reason: str | None = None
    params: dict[str, str | int | float | bool | None] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    curves: dict[str, list[float]] = field(default_factory=dict)
    datasets: list[DatasetRef] = field(default_factory=list)
    record: Record | None = None

    def to_json(self) -> bytes:
        """Return the report as one JSON document."""
        return _json().dump_json(self)

    @staticmethod
    def from_json(document: bytes) -> "StageReport":
        """Read what `to_json` wrote; raises `pydantic.ValidationError` for anything else."""
        return _json().validate_json(document)


@cache  # making it takes longer than reading a report
def _json() -> TypeAdapter[StageReport]:
    return TypeAdapter(StageReport)
