"""What protected sets cost, as columns behind the accuracies."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from bench.core.norms import Beside
from bench.read.tables.table import (
    Grid,
    SummaryCell,
    SummaryColumn,
    TableCell,
)
from bench.record.record import Record
from bench.spec.layout import SummaryKind


@dataclass(frozen=True)
class Cost:
    """One kind of cost of a protected set: its title, decimals, and where a record has it."""

    title: str
    decimals: int
    of: Callable[[Record], float | None]


COSTS: dict[SummaryKind | Beside, Cost] = {
    "surrogates": Cost("surrogates trained", 0, lambda record: float(len(set(record.surrogate_keys)))),
    "surrogate_seconds": Cost("surrogate training (s)", 0, lambda record: record.surrogate_seconds),
    "craft_passes": Cost("crafting passes", 0, lambda record: record.craft_passes),
}


def cost_columns(
    grid: Grid, kinds: tuple[SummaryKind, ...], records: Mapping[str, Record]
) -> tuple[SummaryColumn, ...]:
    """Return a column for each kind of cost: the mean over the protected sets of a row, n of them.

    `records` holds those of the cells by their keys.
    """
    last = len(grid[0]) - 1
    return tuple(
        SummaryColumn((COSTS[kind].title,), last, tuple(_cost(row, kind, records) for row in grid))
        for kind in kinds
        if kind in COSTS
    )


def _cost(row: Sequence[TableCell], kind: SummaryKind, records: Mapping[str, Record]) -> SummaryCell:
    keys = tuple(dict.fromkeys(key for cell in row for key in cell.keys))
    of_each = {records[key].protected_key: COSTS[kind].of(records[key]) for key in keys}
    known = [cost for cost in of_each.values() if cost is not None]
    settings = tuple(cell.setting for cell in row)
    return SummaryCell(kind, settings, fmean(known) if known else None, n=len(known), keys=keys)
