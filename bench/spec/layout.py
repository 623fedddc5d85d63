"""What a person writes under `table:` in an experiment."""

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from bench.core.registry import UnknownName
from bench.record.record import Record
from bench.record.values import value_of
from bench.spec.axes import AXES, SEEDS

SummaryKind = Literal["mean", "worst", "rank", "surrogates", "surrogate_seconds", "craft_passes"]
COST_KINDS: tuple[SummaryKind, ...] = ("surrogates", "surrogate_seconds", "craft_passes")
"""The summaries that are costs of a protected set."""

_IDENTITY = {"protected_classes", *SEEDS, *(field for axis in AXES.values() for field in axis.fields)}
VALUES = tuple(
    name
    for name, field in Record.model_fields.items()
    if {int, float} & {field.annotation, *get_args(field.annotation)} and name not in _IDENTITY
)


class TableLayout(BaseModel):
    """Which axes make the rows and the columns of a table, and which numeric record field fills it.

    Attributes
    ----------
    best
        The test by which the best method of each column, and those that it does not tell from the best, are marked:
        `ttest` or `wilcoxon`, both paired by seed. `auto` is `ttest` where the runs allow it; `none` marks nothing.
    summary
        Further columns. `mean` and `worst` are over the victims and defenses among the columns, the worst for the
        protection. `rank` is the mean rank among the methods, over all columns of a norm. `surrogates`,
        `surrogate_seconds` and `craft_passes` are what a protected set of the row cost.
    published
        Whether published numbers stand beside ours.

    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    rows: str | list[str] = "method"
    columns: list[str] = ["budget", "defense"]
    value: str = "test_acc"
    best: Literal["auto", "ttest", "wilcoxon", "none"] = "auto"
    summary: Annotated[tuple[SummaryKind, ...], Field(strict=False)] = ()
    published: bool = True

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

    @model_validator(mode="after")
    def _summaries_have_something_to_summarise(self) -> "TableLayout":
        if len(set(self.summary)) < len(self.summary):
            raise ValueError("a summary is named twice: name each once")
        if {"mean", "worst"} & set(self.summary) and not {"victim", "defense"} & set(self.columns):
            raise ValueError("mean and worst are over victims and defenses: make victim or defense a column axis")
        if "rank" in self.summary and self.row_axes != ["method"]:
            raise ValueError("ranks are of methods: make method the only row axis")
        if set(COST_KINDS) & set(self.summary) and "method" not in self.row_axes:
            raise ValueError("costs are of methods: make method a row axis")
        if {"worst", "rank"} & set(self.summary) and value_of(self.value).better is None:
            raise ValueError(f"neither end of {self.value} is better: leave worst and rank out of the summary")
        return self
