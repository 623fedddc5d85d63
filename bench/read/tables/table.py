"""Settings, runs and cells: what a table is made of, and the table itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any

from bench.core.norms import Beside
from bench.record.published import Published
from bench.record.record import Record
from bench.spec.axes import (
    AXES,
    SEEDS,
    AxisValue,
    axes_in_order,
)
from bench.spec.layout import SummaryKind

if TYPE_CHECKING:
    import pandas as pd

Labels = dict[AxisValue, str]
Header = tuple[AxisValue, ...]


@dataclass(frozen=True)
class Setting:
    """What is compared: all that identifies a run but its seeds. `values` has one for each axis, in their order."""

    values: tuple[AxisValue, ...]

    def __getitem__(self, axis: str) -> AxisValue:
        return dict(zip(AXES, self.values, strict=True))[axis]

    def at(self, axis: str, value: AxisValue) -> "Setting":
        """Return the setting moved to another value of an axis."""
        return Setting(tuple(value if name == axis else own for name, own in zip(AXES, self.values, strict=True)))

    def without(self, *axes: str) -> "Setting":
        """Return what settings have in common that differ on these axes alone."""
        return Setting(tuple(None if name in axes else own for name, own in zip(AXES, self.values, strict=True)))

    def fields(self) -> dict[str, Any]:
        """Return the record fields that identify the setting."""
        order = axes_in_order("method", "budget", "dataset", "recipe")
        return {name: value for axis in order for name, value in axis.write(self[axis.name]).items()}

    @property
    def setting(self) -> "Setting":
        """The setting alone, without seeds or results."""
        return Setting(self.values)

    @property
    def method(self) -> str:
        """The method's name."""
        name: str = self["method"][0]
        return name

    @property
    def method_params(self) -> str:
        """The method's parameters as canonical JSON."""
        params: str = self["method"][1]
        return params

    @property
    def norm(self) -> str | None:
        """The budget's norm, None where nothing is added to the images."""
        return None if self["budget"] is None else self["budget"][0]

    @property
    def recipe(self) -> str:
        """How networks are trained."""
        name: str = self["recipe"]
        return name


@dataclass(frozen=True)
class CellId(Setting):
    """One run, planned or done: a setting with its seeds."""

    seeds: tuple[int, int, int]

    @classmethod
    def of(cls, record: Record | Mapping[str, Any]) -> "CellId":
        """Return what `record` measured, or what fields of one say that it will."""
        fields = dict(record)
        seed, surrogate_seed, craft_seed = (fields[name] for name in SEEDS)
        return cls(tuple(axis.read(fields) for axis in AXES.values()), (seed, surrogate_seed, craft_seed))

    @property
    def replicate(self) -> tuple[int, int]:
        """The surrogate seed and the craft seed of its protected set."""
        return self.seeds[1:]

    def fields(self) -> dict[str, Any]:
        """Return the record fields that identify the run."""
        return {**super().fields(), **dict(zip(SEEDS, self.seeds, strict=True))}


@dataclass(frozen=True)
class TableCell(Setting):
    """One number of a table: a setting and the runs behind it.

    `mean` is None where nothing was measured, `half_width` where n < 2; n counts crafting replicates where
    `replicated`, else victim seeds. Of `runs` planned or started runs `missing` have no result; `keys` are
    those of the records in the mean. `samples` are the independent samples of the mean with the seeds that they were
    drawn with, as `bench.read.stats.Samples`. `best` says whether this is the best of its column or not to be told
    from the best, None where that was not judged. `published` is what others report for the same setting. `beside`
    holds those fields of the audit that stand beside numbers of its norm, each with its mean over the protected sets.
    """

    mean: float | None = None
    half_width: float | None = None
    n: int = 0
    replicated: bool = False
    runs: int = 0
    missing: int = 0
    keys: tuple[str, ...] = ()
    samples: tuple[tuple[tuple[int, ...], float], ...] = ()
    best: bool | None = None
    published: tuple[Published, ...] = ()
    beside: tuple[tuple[Beside, float | None], ...] = ()

    @property
    def partial(self) -> bool:
        """Whether some but not all of the runs are in the mean."""
        return 0 < len(self.keys) < self.runs


Grid = tuple[tuple[TableCell, ...], ...]
"""Cells by [row][column]."""


@dataclass(frozen=True)
class SummaryCell:
    """What a row comes to over several columns of one norm, what its protected sets cost, or how much they changed.

    `low` and `high` bound the confidence interval, None without one. `settings` are the columns it spans, which for
    a rank are those where all ranked methods are measured. `n` counts samples as in a cell; it is 0 where a number is
    missing, for ranks the smallest of the columns, and for costs and changes the number of protected sets.
    """

    kind: SummaryKind | Beside
    settings: tuple[Setting, ...]
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class SummaryColumn:
    """A summary of every row, None where a row has none; it stands behind the column with the index `after`.

    `header` names what the columns have in common and then the summary.
    """

    header: tuple[str, ...]
    after: int
    cells: tuple[SummaryCell | None, ...]


@dataclass(frozen=True, repr=False)
class Table:
    """Numbers laid out, not yet printed.

    `rows` and `columns` hold one header per row and column: a label for each of `row_axes` or `column_axes`.
    `cells` is indexed [row][column]. The budget-free reference (method `none`) is the same cell in every
    budget column of its data set, victim and defense. `n` is what all complete cells share, None where they
    differ. Of `runs` runs `missing` have no result. `warnings` have to be read before the numbers. `context` names what
    all records share, `images` say how many images the data sets have, `settings` which parameters no row names are
    other than by default, `caption` says what n and the intervals are and what is missing, `notes` are sentences on
    anything unusual. `summaries` stand between or behind the columns. `elsewhere` are published numbers for the columns
    that belong to no row.
    """

    experiment: str
    value: str
    row_axes: tuple[str, ...]
    column_axes: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    columns: tuple[tuple[str, ...], ...]
    cells: Grid
    n: int | None
    runs: int
    missing: int
    context: str
    caption: str
    notes: tuple[str, ...]
    images: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    summaries: tuple[SummaryColumn, ...] = ()
    elsewhere: tuple[Published, ...] = ()
    warnings: tuple[str, ...] = ()

    def distinct_cells(self) -> list[TableCell]:
        """Return the cells row by row, a repeated reference once."""
        return list(dict.fromkeys(cell for row in self.cells for cell in row))

    def frame(self) -> "pd.DataFrame":
        """Return one row per cell: its identity, mean, half-width, n, and what else `to_csv` has, keys apart."""
        import pandas as pd

        from bench.read.tables.data import to_csv

        return pd.read_csv(StringIO(to_csv(self)), keep_default_na=False, na_values=[""]).drop(columns="keys")

    def __repr__(self) -> str:
        from bench.read.tables.markdown import to_markdown

        return to_markdown(self)

    def _repr_markdown_(self) -> str:
        return repr(self)

    def _repr_html_(self) -> str:
        from bench.read.tables.html import html_table

        return html_table(self)
