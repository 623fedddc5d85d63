"""How much released images differ from the clean ones, beside the numbers of norms that do not bound it."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from bench.core.norms import Beside, beside
from bench.read.tables.table import (
    Grid,
    SummaryCell,
    SummaryColumn,
    TableCell,
)
from bench.record.record import Record
from bench.record.values import value_of


def over_protected_sets(records: Iterable[Record], field: str) -> float | None:
    """Return the mean of a field of the audit over the protected sets behind records, None where none has it."""
    of_each = {record.protected_key: getattr(record, field) for record in records}
    known = [value for value in of_each.values() if value is not None]
    return fmean(known) if known else None


def quality_columns(
    grid: Grid, indices: Sequence[int], names: Sequence[str], records: Mapping[str, Record]
) -> list[SummaryColumn]:
    """Return a column for each field that stands beside numbers among the columns `indices`, which `names` head.

    References have it too: what is compared with them is judged by it. `records` holds those of the cells by their
    keys.
    """
    rows = [[row[index] for index in indices] for row in grid]
    fields = list(dict.fromkeys(field for row in rows for cell in row for field, _ in cell.beside))
    return [
        SummaryColumn((*names, value_of(field).title), indices[-1], tuple(_over(row, field, records) for row in rows))
        for field in fields
    ]


def _over(row: Sequence[TableCell], field: Beside, records: Mapping[str, Record]) -> SummaryCell | None:
    shown = [cell for cell in row if cell.keys and (cell.norm is None or field in beside(cell.norm))]
    if not shown:
        return None
    keys = tuple(dict.fromkeys(key for cell in shown for key in cell.keys))
    measured = [records[key] for key in keys]
    n = len({record.protected_key for record in measured})
    settings = tuple(cell.setting for cell in shown)
    return SummaryCell(field, settings, over_protected_sets(measured, field), n=n, keys=keys)
