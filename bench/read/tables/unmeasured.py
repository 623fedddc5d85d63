"""Rows of which nothing is measured: what people look at names them and does not show them."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import TypeVar

from bench.read.tables.table import Table
from bench.spec.names import NOTHING

T = TypeVar("T")


def measured_rows(table: Table) -> tuple[Table, str]:
    """Return the table without the rows that have no number, and what these are called: outer labels once."""
    kept = [any(cell.mean is not None for cell in row) for row in table.cells]
    if all(kept) or not any(kept):
        return table, ""
    shown = replace(
        table,
        rows=_of(table.rows, kept),
        cells=_of(table.cells, kept),
        summaries=tuple(replace(one, cells=_of(one.cells, kept)) for one in table.summaries),
    )
    gone = _of(table.rows, [not keep for keep in kept])
    groups = groupby(gone, key=lambda header: header[:-1])
    return shown, "; ".join(row_name((*outer, ", ".join(header[-1] for header in own))) for outer, own in groups)


def row_name(header: Sequence[str]) -> str:
    """Return the labels of a row in one line."""
    return " · ".join(label for label in header if label != NOTHING)


def _of(items: Sequence[T], kept: Sequence[bool]) -> tuple[T, ...]:
    return tuple(item for item, keep in zip(items, kept, strict=True) if keep)
