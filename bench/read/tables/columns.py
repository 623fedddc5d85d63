"""The columns of numbers as they are printed: ours, published ones beside them, summaries."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from bench.core.norms import Beside
from bench.read.tables.costs import COSTS
from bench.read.tables.sources import DIFFERS, Source, numbered_sources, source_of
from bench.read.tables.table import SummaryCell, Table, TableCell
from bench.record.published import Published
from bench.record.values import value_of
from bench.spec.names import NOTHING

MEASURED, PUBLISHED = "measured", "published"


@dataclass(frozen=True)
class Entry:
    """One number as text. `half_width` and `mark`, such as `(2 of 3)`, may be empty."""

    number: str
    half_width: str = ""
    mark: str = ""
    best: bool = False


@dataclass(frozen=True)
class Column:
    """Numbers below labels, the outermost first. `kind` is "measured", "published" or "summary"."""

    header: tuple[str, ...]
    kind: str
    entries: tuple[Entry, ...]


def columns_of(table: Table) -> list[Column]:
    """Return the columns of numbers from left to right; each has at least one label."""
    return list(_columns(table))


def _columns(table: Table) -> Iterator[Column]:
    value, sources, wanted = value_of(table.value), numbered_sources(table), _columns_with_published(table)
    for index, (header, cells) in enumerate(zip(table.columns, zip(*table.cells, strict=True), strict=True)):
        beside = index in wanted
        labels = header or (value.title,)
        ours = (*labels, MEASURED) if beside else labels
        yield Column(ours, "measured", tuple(_measured(cell, value.decimals, table.n) for cell in cells))
        if beside:
            entries = tuple(_published(cell.published, sources, value.decimals) for cell in cells)
            yield Column((*labels, PUBLISHED), "published", entries)
        for summary in (one for one in table.summaries if one.after == index):
            entries = tuple(_summary(cell, value.decimals, table.n) for cell in summary.cells)
            yield Column(summary.header, "summary", entries)


def _columns_with_published(table: Table) -> set[int]:
    """Return the columns that published numbers stand beside; those of a repeated reference alone only the first."""
    columns = list(zip(*table.cells, strict=True))
    found = {i for i, column in enumerate(columns) if any(cell.published for cell in column if cell.norm is not None)}
    for reference in (cell for cell in table.distinct_cells() if cell.published and cell.norm is None):
        places = [i for i, column in enumerate(columns) if reference in column]
        if not found.intersection(places):
            found.add(places[0])
    return found


def _measured(cell: TableCell, decimals: int, n: int | None) -> Entry:
    number = NOTHING if cell.mean is None else f"{cell.mean:.{decimals}f}"
    half = "" if cell.half_width is None else f"{cell.half_width:.{decimals}f}"
    return Entry(number, half, _mark(cell, n), bool(cell.best))


def _mark(cell: TableCell, n: int | None) -> str:
    if cell.partial:
        progress = f"{len(cell.keys)} of {cell.runs}"
        return f"({progress})" if cell.n in (n, len(cell.keys)) else f"(n = {cell.n}, {progress})"
    return "" if cell.n in (0, n) else f"(n = {cell.n})"


def _published(published: tuple[Published, ...], sources: dict[Source, int], decimals: int) -> Entry:
    texts = []
    for one in published:
        spread = "" if one.std is None else f" (sd {one.std:.{decimals}f})"
        mark = DIFFERS if one.differs else ""
        texts.append(f"{one.test_acc:.{decimals}f}{mark}{spread} [{sources[source_of(one)]}]")
    return Entry(", ".join(texts))


def _summary(cell: SummaryCell | None, decimals: int, n: int | None) -> Entry:
    if cell is None:
        return Entry("")
    if cell.mean is None:
        return Entry(NOTHING)
    if cell.kind == "rank":
        interval = "" if cell.low is None else f"[{cell.low:.2f}, {cell.high:.2f}]"
        return Entry(f"{cell.mean:.2f}", mark=interval)
    if cell.kind in get_args(Beside):
        return Entry(f"{cell.mean:.{value_of(cell.kind).decimals}f}")
    if cell.kind in COSTS:
        return Entry(f"{cell.mean:,.{COSTS[cell.kind].decimals}f}")
    half = "" if cell.low is None or cell.high is None else f"{(cell.high - cell.low) / 2:.{decimals}f}"
    return Entry(f"{cell.mean:.{decimals}f}", half, "" if cell.n == n else f"(n = {cell.n})")


def about(table: Table) -> list[str]:
    """Return the lines below the table: what its runs share, the images, what its numbers are, anything unusual."""
    return [text for text in (table.context, *table.images, *table.settings, table.caption, *table.notes) if text]


def title_of(table: Table) -> str:
    """Return the experiment and the value in words."""
    return f"{table.experiment}: {value_of(table.value).title}"
