"""From stored records to the table of an experiment."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from bench.contracts.method import METHODS
from bench.core.errors import SepbenchError
from bench.plan.plan import Plan
from bench.read.logged_or_kept import logged_or_kept
from bench.read.tables import CellId, Table, build
from bench.read.variants import variants_known
from bench.record.record import Record, read_records
from bench.spec.cell import Cell
from bench.spec.experiment import Experiment
from bench.store.home import Home

TABLE_FORMS = ("md", "csv", "json")
"""What a table is kept as beside records; each is also the suffix of its file."""


def compile_table(
    experiments: Sequence[Experiment], home: Home, folder: Path | None, where: Mapping[str, str]
) -> Table:
    """Return the table of one or several experiments from the records in `folder`, or from MLflow where it is None.

    Raises `SepbenchError` where there are no records of one of them, or they must not stand in one table.
    """
    records = [record for one in experiments for record in experiment_records(one, home, folder)]
    return tabulate_together(experiments, records, where)


def experiment_records(experiment: Experiment, home: Home, folder: Path | None) -> list[Record]:
    """Return the experiment's records from `folder`, or from MLflow and the home where it is None.

    Only records of the experiment as it is asked for count: those made under another profile or other overrides
    are left out. Raises `SepbenchError` where there are none.
    """
    source = read_records(folder) if folder else logged_or_kept(experiment.name, experiment.variant, home)
    records = [
        _with_every_parameter(one)
        for one in source
        if one.experiment == experiment.name and _same_variant(one, experiment)
    ]
    if not records:
        known = variants_known(experiment.name, source, None if folder else home)
        raise SepbenchError(
            f"there are no records of {experiment.name} as asked for in {folder or 'MLflow'}: "
            + ("run it first" if known is None else f"there are those of {known}: ask for one of these, or run it so")
        )
    return records


def tabulate(experiment: Experiment, records: Sequence[Record], where: Mapping[str, str]) -> Table:
    """Return the table of an experiment's records."""
    return tabulate_together([experiment], records, where)


def tabulate_together(experiments: Sequence[Experiment], records: Sequence[Record], where: Mapping[str, str]) -> Table:
    """Return one table of several experiments' records, with columns for each of their data sets.

    The layout is that of the first one.
    """
    layout = experiments[0].layout
    shown = {*layout.row_axes, *layout.columns}
    further = [axis for one in experiments for axis in one.layout.columns if axis not in shown]
    if len({one.dataset.name for one in experiments}) > 1 and "dataset" not in shown:
        further.insert(0, "dataset")
    columns = [*layout.columns, *dict.fromkeys(further)]
    expected = [cell_id(one, cell) for one in experiments for cell in one.cells()]
    return build(
        records,
        layout.model_copy(update={"columns": columns}),
        expected=dict.fromkeys(expected),
        where=where,
        experiment=" + ".join(one.name for one in experiments),
    )


def table_of(plan: Plan, records: Sequence[Record]) -> Table:
    """Return the table of a plan's cells, as far as there are records of them."""
    experiment = plan.experiment
    return build(records, experiment.layout, expected=[cell_id(experiment, planned.cell) for planned in plan.cells])


def cell_id(experiment: Experiment, cell: Cell) -> CellId:
    """Return what the table calls a cell of the experiment."""
    named = {
        **cell.fields(),
        "method_params": cell.method.known_params(),
        "dataset": experiment.dataset.name,
        "recipe": experiment.recipe.name,
    }
    return CellId.of(named)


def _with_every_parameter(record: Record) -> Record:
    """Name the parameters that the method has gained since: an older record was made with their defaults."""
    if record.brought or record.method not in METHODS:
        return record
    kind = METHODS.get(record.method).Params
    if not set(record.method_params) <= set(kind.model_fields):
        return record
    try:
        params = kind.model_validate(record.method_params, strict=False).model_dump(mode="json")
    except ValidationError:  # it takes other values now
        return record
    return record.model_copy(update={"method_params": params})


def _same_variant(record: Record, experiment: Experiment) -> bool:
    return record.profile == experiment.profile and record.overrides == experiment.overrides
