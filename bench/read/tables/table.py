"""Settings, runs and cells: what a table is made of, and the table itself."""

from dataclasses import dataclass, fields
from typing import Any

from bench.core.keys import canonical
from bench.record.published import Published
from bench.record.record import Record
from bench.spec.layout import SummaryKind

# A method is (name, canonical JSON of its parameters), a budget (norm, size), any other axis value a name or a number.
AxisValue = Any
Labels = dict[AxisValue, str]
Header = tuple[AxisValue, ...]
BUDGET_FREE = (None, None)

# What `none` is trained on is nobody's protected set: it has no share that is protected.
SHARE_FREE = None


@dataclass(frozen=True)
class Setting:
    """What is compared: all that identifies a run but its seeds. `method_params` is canonical JSON."""

    method: str
    method_params: str
    norm: str | None
    budget: float | None
    dataset: str
    recipe: str
    victim: str
    defense: str
    protected_fraction: float
    clean_images: int

    @property
    def setting(self) -> "Setting":
        """The setting alone, without seeds or results."""
        return Setting(**{field.name: getattr(self, field.name) for field in fields(Setting)})


@dataclass(frozen=True)
class CellId(Setting):
    """One run, planned or done: a setting with its seeds."""

    seed: int
    surrogate_seed: int
    craft_seed: int

    @classmethod
    def of(cls, record: Record) -> "CellId":
        """Return what `record` measured."""
        values = {field.name: getattr(record, field.name) for field in fields(cls)}
        return cls(**{**values, "method_params": canonical(record.method_params)})


@dataclass(frozen=True)
class Cell(Setting):
    """One number of a table: a setting and the runs behind it.

    `mean` is None where nothing was measured, `half_width` where n < 2; n counts crafting replicates where
    `replicated`, else victim seeds. Of `runs` planned or started runs `missing` have no result; `keys` are
    those of the records in the mean. `samples` are the independent samples of the mean with the seeds that they were
    drawn with, as `bench.read.stats.Samples`. `best` says whether this is the best of its column or not to be told
    from the best, None where that was not judged. `published` is what others report for the same setting.
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

    @property
    def partial(self) -> bool:
        """Whether some but not all of the runs are in the mean."""
        return 0 < len(self.keys) < self.runs


Grid = tuple[tuple[Cell, ...], ...]
"""Cells by [row][column]."""


@dataclass(frozen=True)
class SummaryCell:
    """What a row comes to over several columns of one norm, or what its protected sets cost.

    `low` and `high` bound the confidence interval, None without one. `settings` are the columns it spans, which for
    a rank are those where all ranked methods are measured. `n` counts samples as in a cell; it is 0 where a number is
    missing, for ranks the smallest of the columns, and for costs the number of protected sets.
    """

    kind: SummaryKind
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


@dataclass(frozen=True)
class Table:
    """Numbers laid out, not yet printed.

    `rows` and `columns` hold one header per row and column: a label for each of `row_axes` or `column_axes`.
    `cells` is indexed [row][column]. The budget-free reference (method `none`) is the same cell in every
    budget column of its data set, victim and defense. `n` is what all complete cells share, None where they
    differ. Of `runs` runs `missing` have no result. `context` names what all records share, `caption` says
    what n and the intervals are and what is missing, `notes` are sentences on anything unusual. `summaries` stand
    between or behind the columns. `elsewhere` are published numbers for the columns that belong to no row.
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
    summaries: tuple[SummaryColumn, ...] = ()
    elsewhere: tuple[Published, ...] = ()

    def distinct_cells(self) -> list[Cell]:
        """Return the cells row by row, a repeated reference once."""
        return list(dict.fromkeys(cell for row in self.cells for cell in row))
