"""Numbers that others have published, to stand beside ours."""

import csv
import io
from collections import Counter
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bench.core.errors import SepbenchError
from bench.core.norms import NORMS, Norm
from bench.core.validation import describe, first_mistake


class Published(BaseModel):
    """One published test accuracy, in percent.

    Attributes
    ----------
    source
        Where it stands, as a reader can find it.
    method
        As this benchmark calls it; a name that it does not have is what the source speaks of.
    method_params
        Those of its parameters that are not this benchmark's defaults, as `shift=1,steps=250`.
    norm, budget
        Both None where nothing is added to the images, the budget alone where the norm is `unbounded`.
    defense
        With all of its parameters, as `jpeg:quality=10`, so that it stays what it is where a default changes. Those
        that the source does not state are left out, which `differs` says.
    std
        Standard deviation over the `n` runs, where the source gives it.
    differs
        What is known not to be as here, or not known to be, though the setting is called the same.
    note
        What else a reader has to know to compare.

    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    source: str = Field(min_length=1)
    dataset: str = Field(min_length=1)
    victim: str = Field(min_length=1)
    recipe: str = Field(min_length=1)
    method: str = Field(min_length=1)
    method_params: str | None = None
    norm: Norm | None
    budget: float | None = Field(gt=0)
    defense: str = Field(min_length=1)
    test_acc: float = Field(ge=0, le=100)
    std: float | None = Field(ge=0)
    n: int | None = Field(ge=1)
    differs: str | None = None
    note: str | None

    @model_validator(mode="after")
    def _budget_has_a_norm(self) -> "Published":
        if self.norm is not None and NORMS[self.norm].bound is None:
            if self.budget is not None:
                raise SepbenchError(f"norm {self.norm} has no budget: leave that empty")
        elif (self.norm is None) != (self.budget is None):
            raise SepbenchError("norm and budget come together: give both or neither")
        return self

    @property
    def identity(self) -> tuple[Any, ...]:
        """What is measured, and by whom."""
        return tuple(value for name, value in self if name not in ("test_acc", "std", "n", "differs", "note"))


def read_published(path: Traversable | None = None) -> list[Published]:
    """Read the published numbers that come with sepbench, or those of another CSV file with the same columns.

    An empty cell is None. Raises `SepbenchError` that names the file, the line and the column.
    """
    path = files("bench") / "published.csv" if path is None else path
    columns = list(Published.model_fields)
    reader = csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline=""), strict=True)
    try:
        if next(reader, None) != columns:
            raise SepbenchError(f"{path}: line 1: write the columns {','.join(columns)}")
        lines = [(reader.line_num, line) for line in reader]
    except csv.Error as error:
        raise SepbenchError(f"{path}: line {reader.line_num}: {error}: repair the line") from error
    rows = [_row(path, number, columns, line) for number, line in lines]
    counts = Counter(row.identity for row in rows)
    for (number, _), row in zip(lines, rows, strict=True):
        if counts[row.identity] > 1:
            raise SepbenchError(f"{path}: line {number}: {row.source} has this number more than once: keep one line")
    return rows


def _row(path: Traversable, number: int, columns: list[str], line: list[str]) -> Published:
    if len(line) != len(columns):
        raise SepbenchError(f"{path}: line {number}: has {len(line)} cells where there are {len(columns)} columns")
    try:
        return Published.model_validate({name: text or None for name, text in zip(columns, line, strict=True)})
    except ValidationError as error:
        mistake = first_mistake(error)
        field = "".join(f"{one}: " for one in mistake["loc"])
        raise SepbenchError(f"{path}: line {number}: {field}{describe(mistake, columns, in_yaml=False)}") from error
