"""From records to a table: choose, group, summarise, lay out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from bench.core.errors import SepbenchError
from bench.core.keys import canonical
from bench.core.norms import beside
from bench.read.stats import counts_replicates, samples_of, summarise
from bench.read.tables.captions import (
    common_n,
    describe_context,
    describe_counts,
    describe_images,
    describe_oddities,
)
from bench.read.tables.flattering import describe_flattering
from bench.read.tables.grid import (
    axis_labels,
    header_labels,
    lay_out,
    varying,
)
from bench.read.tables.marking import mark_best
from bench.read.tables.other_parameters import describe_settings
from bench.read.tables.quality import over_protected_sets
from bench.read.tables.selection import choose, refuse_mixed_provenance, refuse_unused_axes
from bench.read.tables.sources import attach
from bench.read.tables.summaries import describe_summaries, summarise_rows
from bench.read.tables.table import (
    CellId,
    Setting,
    Table,
    TableCell,
)
from bench.read.tables.telling_apart import smallest_difference
from bench.read.tables.unspent import describe_unspent
from bench.read.tables.warnings import doubtful_contexts, warnings
from bench.record.published import Published, read_published
from bench.record.record import Record
from bench.spec.axes import AXES
from bench.spec.layout import TableLayout


def build(
    records: Iterable[Record],
    layout: TableLayout,
    order: Sequence[tuple[str, Mapping[str, Any]]] | None = None,
    expected: Iterable[CellId] | None = None,
    *,
    where: Mapping[str, str] | None = None,
    experiment: str | None = None,
    published: Iterable[Published] | None = None,
) -> Table:
    """Lay out `records` as a table.

    Parameters
    ----------
    records
        Only those with status "done" carry numbers; the others count as missing runs. Of several records of
        one run the one started last is kept (`started` compares as text: ISO 8601 in UTC).
    layout
        Axes and value.
    order
        Methods with their full parameters in the order wanted. Methods not in it follow in the order of their
        first appearance, except that `none` and `random-noise` then come first.
    expected
        The runs that should exist; those not among the records count as missing.
    where
        Record fields to the text their value must have: numbers as `8`, nothing as `none`, `budget` also as
        `linf-8`. Choosing a norm or a budget keeps the budget-free reference.
    experiment
        Name in the title; by default that of the records.
    published
        Numbers to stand beside ours; by default those that come with sepbench.

    Raises
    ------
    SepbenchError
        There is nothing to show, `where` names no field or fits nothing, or the records mix what must not
        stand in one table: profiles, overrides, versions of a data set, or several values of an axis (recipe,
        data set, victim, ...) that the layout does not use.

    """
    chosen, planned = choose(list(records), list(expected or ()), where or {})
    done = [record for record in chosen if record.status == "done"]
    refuse_mixed_provenance(done)
    runs: dict[CellId, Record | None] = dict.fromkeys([*planned, *map(CellId.of, chosen)])
    if not runs:
        raise SepbenchError("there are no records to make a table of: run the experiment first")
    for record in sorted(done, key=lambda record: (record.started, record.key)):
        runs[CellId.of(record)] = record
    groups: dict[Setting, dict[CellId, Record | None]] = {}
    for run, result in runs.items():
        groups.setdefault(run.setting, {})[run] = result
    wanted = {"method": [(name, canonical(params)) for name, params in order or ()]}
    labels = {axis: axis_labels(axis, list(groups), wanted.get(axis, ())) for axis in AXES}
    refuse_unused_axes(labels, {*layout.row_axes, *layout.columns})

    measured = {setting: _summarise(setting, group, layout.value) for setting, group in groups.items()}
    cells, elsewhere = attach(measured, read_published() if published is None else published, layout, done)
    rows, columns, grid = lay_out(cells, layout, labels)
    by_key = {record.key: record for record in runs.values() if record is not None}
    doubtful = doubtful_contexts(list(cells.values()), layout.value, by_key)
    grid, about_marks = mark_best(grid, layout, doubtful)
    row_axes = varying(layout.row_axes, rows) or layout.row_axes[:1]
    column_axes = varying(layout.columns, columns)
    summaries = summarise_rows(grid, layout, columns, column_axes, labels, by_key)
    n = common_n(list(cells.values()))
    failed = {CellId.of(record) for record in chosen if record.status == "failed"}
    return Table(
        experiment=experiment or " + ".join(dict.fromkeys(record.experiment for record in chosen)),
        value=layout.value,
        row_axes=tuple(row_axes),
        column_axes=tuple(column_axes),
        rows=header_labels(rows, layout.row_axes, row_axes, labels),
        columns=header_labels(columns, layout.columns, column_axes, labels),
        cells=grid,
        n=n,
        runs=len(runs),
        missing=sum(result is None for result in runs.values()),
        warnings=warnings(doubtful, list(cells.values()), labels, by_key.values()),
        context=describe_context(labels, {*row_axes, *column_axes}, done, layout.value),
        images=describe_images(done),
        settings=describe_settings(cells.values(), done),
        caption=describe_counts(list(cells.values()), layout.value, n, runs, failed),
        notes=(
            *about_marks,
            *smallest_difference(grid, layout),
            *describe_summaries(summaries, layout.value),
            *describe_flattering(list(cells.values()), layout.value, labels, by_key),
            *describe_unspent(list(cells.values()), labels, by_key),
            *describe_oddities(list(cells.values()), layout.value, runs, done),
        ),
        summaries=summaries,
        elsewhere=elsewhere,
    )


def _summarise(setting: Setting, runs: Mapping[CellId, Record | None], value: str) -> TableCell:
    done = [record for record in runs.values() if record is not None]
    done.sort(key=lambda record: (record.surrogate_seed, record.craft_seed, record.seed))
    measured = [record for record in done if getattr(record, value) is not None]
    shown = tuple((field, over_protected_sets(done, field)) for field in beside(setting.norm))
    cell = TableCell(setting.values, runs=len(runs), missing=len(runs) - len(done), beside=shown)
    if not measured:
        return cell
    replicated = counts_replicates({run.replicate for run in runs}, value)
    samples = samples_of(measured, value, replicated)
    return replace(
        cell,
        **asdict(summarise(list(samples.values()))),
        keys=tuple(record.key for record in measured),
        replicated=replicated,
        samples=tuple(samples.items()),
    )
