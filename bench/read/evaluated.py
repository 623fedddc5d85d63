"""Evaluations of sets that somebody brought: told from experiments, and tabulated, by their records alone."""

from collections.abc import Sequence
from dataclasses import replace

from bench.read.tables import Table, TableCell, build
from bench.record.record import Record
from bench.spec.axes import AXES, is_usual
from bench.spec.experiment import published_name
from bench.spec.file import experiment_names
from bench.spec.layout import TableLayout

COLUMNS = ("defense",)
"""What makes the columns of such a table, besides every axis on which its records differ."""


PREFIX = "evaluate-"
"""What the names of such experiments begin with."""


def is_evaluation(records: Sequence[Record]) -> bool:
    """Tell whether the records of an experiment are of a set that somebody brought.

    One that was stopped early has victims of clean images alone.
    """
    if any(one.brought for one in records):
        return True
    return bool(records) and all(one.method == "none" and names_evaluation(one.experiment) for one in records)


def names_evaluation(experiment: str) -> bool:
    """Tell whether a name is that of the evaluation of a set that somebody brought, of which there is no file."""
    is_file = experiment.endswith((".yaml", ".yml"))
    return experiment.startswith(PREFIX) and not is_file and experiment not in experiment_names()


def evaluation_table(records: Sequence[Record]) -> Table:
    """Return the table of these records, plain victims first and those with clean images last."""
    several = [
        axis.name
        for axis in AXES.values()
        if axis.listed is not None and len({axis.read(dict(one)) for one in records} - {None}) > 1
    ]
    columns = [*COLUMNS, *(axis for axis in several if axis not in COLUMNS)]
    order = sorted(records, key=lambda one: (one.brought, one.defense != "plain", one.defense, one.victim, one.seed))
    names = " + ".join(dict.fromkeys(one.experiment for one in records))
    return diluted_last(build(order, TableLayout(rows="method", columns=columns), experiment=names))


def diluted_last(table: Table) -> Table:
    """Return a table without summaries whose columns of diluted releases stand behind the others."""
    places = sorted(range(len(table.columns)), key=lambda place: any(_is_diluted(row[place]) for row in table.cells))
    return replace(
        table,
        columns=tuple(table.columns[place] for place in places),
        cells=tuple(tuple(row[place] for place in places) for row in table.cells),
    )


def _is_diluted(cell: TableCell) -> bool:
    return any(not is_usual(AXES[axis], cell[axis]) for axis in ("protected_fraction", "clean_images"))


def evaluation_name(records: Sequence[Record]) -> str:
    """Return what the files of these records are called among published results."""
    first = records[0]
    return published_name(first.experiment, first.profile, first.overrides)
