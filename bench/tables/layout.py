"""What a person writes under `table:` in an experiment."""

from typing import get_args

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from bench.record import Record
from bench.registry import UnknownName

# Every axis with its plural, for messages.
AXES = {
    "method": "methods",
    "budget": "budgets",
    "victim": "victims",
    "defense": "defenses",
    "dataset": "data sets",
    "recipe": "recipes",
}
VALUES = tuple(
    name
    for name, field in Record.model_fields.items()
    if {int, float} & {field.annotation, *get_args(field.annotation)}
    and name not in ("budget", "seed", "surrogate_seed", "craft_seed")
)


class TableLayout(BaseModel):
    """Which axes make the rows and the columns of a table, and which numeric record field fills it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    rows: str | list[str] = "method"
    columns: list[str] = ["budget", "defense"]
    value: str = "test_acc"

    @property
    def row_axes(self) -> list[str]:
        """The row axes, outermost first."""
        return [self.rows] if isinstance(self.rows, str) else self.rows

    @field_validator("rows", "columns")
    @classmethod
    def _known_axes(cls, axes: str | list[str]) -> str | list[str]:
        for axis in [axes] if isinstance(axes, str) else axes:
            if axis not in AXES:
                raise ValueError(str(UnknownName("table axis", axis, AXES)))
        return axes

    @field_validator("value")
    @classmethod
    def _known_value(cls, value: str) -> str:
        if value not in VALUES:
            raise ValueError(str(UnknownName("table value", value, VALUES)))
        return value

    @model_validator(mode="after")
    def _each_axis_once(self) -> "TableLayout":
        if not self.row_axes:
            raise ValueError("a table needs at least one row axis, such as method")
        axes = [*self.row_axes, *self.columns]
        for axis in axes:
            if axes.count(axis) > 1:
                raise ValueError(f"the table axis '{axis}' is used twice: name it once, in rows or in columns")
        return self
