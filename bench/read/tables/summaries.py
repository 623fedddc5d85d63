"""What a method comes to over several columns: mean, worst case, mean rank."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from bench.core.norms import Beside
from bench.read.stats import mean_ranks, summarise
from bench.read.tables.costs import COSTS, cost_columns
from bench.read.tables.marking import competes
from bench.read.tables.quality import quality_columns
from bench.read.tables.table import (
    Grid,
    Header,
    Labels,
    Setting,
    SummaryCell,
    SummaryColumn,
    TableCell,
)
from bench.record.record import Record
from bench.record.values import value_of
from bench.spec.layout import SummaryKind, TableLayout

TITLES = {"mean": "mean", "worst": "worst case", "rank": "mean rank"}
SUMMARISED = ("victim", "defense")


def summarise_rows(
    grid: Grid,
    layout: TableLayout,
    headers: Sequence[Header],
    column_axes: Sequence[str],
    labels: Mapping[str, Labels],
    records: Mapping[str, Record],
) -> tuple[SummaryColumn, ...]:
    """Return the summary columns of a layout, and what stands beside numbers of norms that bound no change.

    Parameters
    ----------
    grid
        The cells, [row][column].
    headers
        One value for each axis of `layout.columns`, for every column.
    column_axes
        Those axes that the headers of the table show.
    labels
        What the values are called.
    records
        Those behind the cells, by key.

    """
    kept = [axis for axis in layout.columns if axis not in SUMMARISED]
    groups: defaultdict[Header, list[int]] = defaultdict(list)
    for index, header in enumerate(headers):
        groups[tuple(value for axis, value in zip(layout.columns, header, strict=True) if axis in kept)].append(index)
    columns: list[SummaryColumn] = []
    for group, indices in groups.items():
        names = [labels[axis][value] for axis, value in zip(kept, group, strict=True) if axis in column_axes]
        for kind in (kind for kind in layout.summary if kind in ("mean", "worst") and len(indices) > 1):
            cells = tuple(_over([row[index] for index in indices], kind, layout.value) for row in grid)
            columns.append(SummaryColumn((*names, TITLES[kind]), indices[-1], cells))
        columns += quality_columns(grid, indices, names, records)
    if "rank" in layout.summary:
        columns += _rank_columns(grid, layout.value)
    return (*columns, *cost_columns(grid, layout.summary, records))


def _over(cells: Sequence[TableCell], kind: SummaryKind, value: str) -> SummaryCell:
    """Summarise the cells of one row; nothing where one of them is missing, which might have been the worst."""
    empty = SummaryCell(kind, tuple(cell.setting for cell in cells))
    if any(cell.mean is None for cell in cells):
        return empty
    if kind == "worst":
        sign = 1 if value_of(value).better == "lowest" else -1
        worst = max(cells, key=lambda cell: sign * (cell.mean or 0.0))
        return _summary(empty, dict(worst.samples), worst.keys)
    samples = [dict(cell.samples) for cell in cells]
    common = [seeds for seeds in samples[0] if all(seeds in other for other in samples)]
    if not common:
        return empty
    means = {seeds: fmean(other[seeds] for other in samples) for seeds in common}
    return _summary(empty, means, tuple(dict.fromkeys(key for cell in cells for key in cell.keys)))


def _summary(empty: SummaryCell, samples: Mapping[tuple[int, ...], float], keys: tuple[str, ...]) -> SummaryCell:
    result = summarise(list(samples.values()))
    low = high = None
    if result.half_width is not None:
        low, high = result.mean - result.half_width, result.mean + result.half_width
    return SummaryCell(empty.kind, empty.settings, result.mean, low, high, result.n, keys)


def _rank_columns(grid: Grid, value: str) -> Iterable[SummaryColumn]:
    """Yield a column for each norm and recipe: neither is mixed with another."""
    tracks = list(dict.fromkeys((cell.norm, cell.recipe) for row in grid for cell in row if cell.norm is not None))
    for norm, recipe in tracks:
        several = [len({track[part] for track in tracks}) > 1 for part in (0, 1)]
        names = [str(name) for name, tells in zip((norm, recipe), several, strict=True) if tells]
        header = (", ".join([TITLES["rank"], *names]),)
        own = [[cell if (cell.norm, cell.recipe) == (norm, recipe) else None for cell in row] for row in grid]
        yield SummaryColumn(header, len(grid[0]) - 1, _ranks(own, value))


def _ranks(grid: Sequence[Sequence[TableCell | None]], value: str) -> tuple[SummaryCell | None, ...]:
    """Rank the rows that have a number over those columns where all of them have one."""
    ranked = [i for i, row in enumerate(grid) if any(c is not None and competes(c) and c.samples for c in row)]
    summaries: list[SummaryCell | None] = [None] * len(grid)
    if len(ranked) < 2:
        return tuple(summaries)
    arrays, columns = _strata([grid[i] for i in ranked])
    result = mean_ranks(arrays, value_of(value).better == "highest") if arrays else None
    for position, i in enumerate(ranked):
        cells = [column[position] for column in columns]
        summary = SummaryCell("rank", tuple(cell.setting for cell in cells))
        if result is not None:
            summary = replace(
                summary,
                mean=result.mean[position],
                low=None if result.low is None else result.low[position],
                high=None if result.high is None else result.high[position],
                n=min(array.shape[1] for array in arrays),
                keys=tuple(dict.fromkeys(key for cell in cells for key in cell.keys)),
            )
        summaries[i] = summary
    return tuple(summaries)


def _strata(rows: Sequence[Sequence[TableCell | None]]) -> tuple[list[NDArray[np.float64]], list[list[TableCell]]]:
    """Return the values of each stratum, [settings, seeds, methods], and the columns that they come from."""
    strata: defaultdict[Setting, list[list[TableCell]]] = defaultdict(list)
    for places in zip(*rows, strict=True):
        column = [cell for cell in places if cell is not None and cell.samples]
        if len(column) == len(rows):
            # Victims and defenses that share protected sets are drawn together.
            drawn = column[0].without("method", *(SUMMARISED if column[0].replicated else ()))
            strata[drawn].append(column)
    arrays, columns = [], []
    for stratum in strata.values():
        samples = [[dict(cell.samples) for cell in column] for column in stratum]
        common = [seeds for seeds in samples[0][0] if all(seeds in one for column in samples for one in column)]
        if common:
            arrays.append(np.array([[[one[seeds] for one in column] for seeds in common] for column in samples]))
            columns += stratum
    return arrays, columns


def describe_summaries(columns: Sequence[SummaryColumn], value: str) -> tuple[str, ...]:
    """Say what the summary columns are."""
    kinds = {cell.kind for column in columns for cell in column.cells if cell is not None}
    better = value_of(value).better
    sentences = []
    if "mean" in kinds:
        sentences.append("Mean: over the columns of a group, seed by seed.")
    if "worst" in kinds:
        opposite = "highest" if better == "lowest" else "lowest"
        sentences.append(f"Worst case: the column of a group with the {opposite} mean.")
    if "rank" in kinds:
        spans = {len(cell.settings) for column in columns for cell in column.cells if cell and cell.kind == "rank"}
        over = f"{spans.pop()} settings" if len(spans) == 1 else "the settings of its norm"
        sentences.append(
            f"Mean rank: 1 is the {better}; methods are ranked run by run over {over} where all are measured, in "
            f"brackets the 95 % percentile interval of a bootstrap over seeds, stratified by setting."
        )
    if kinds & {*COSTS}:
        sentences.append("Costs are of one protected set: the mean over those of a row.")
    shown = [value_of(field).title for field in get_args(Beside) if field in kinds]
    if shown:
        sentences.append(
            f"{' and '.join(shown)}: of the released images against the clean ones, the mean over the protected sets "
            f"of a row; no budget bounds what was changed."
        )
    return tuple(sentences)
