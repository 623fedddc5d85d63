"""From stored records to the table of an experiment."""

from collections.abc import Mapping
from pathlib import Path

from bench.errors import SepbenchError
from bench.home import Home
from bench.record import Record, read_records
from bench.run import cell_id
from bench.spec import Experiment
from bench.tables import Table, build
from bench.tracking import default_uri
from bench.tracking import records as records_in_mlflow


def compile_table(experiment: Experiment, home: Home, folder: Path | None, where: Mapping[str, str]) -> Table:
    """Return the experiment's table from the records in `folder`, or from MLflow where it is None.

    Only records of the experiment as it is asked for count: those made under another profile or other overrides
    are left out. Raises `SepbenchError` where there are none.
    """
    source = read_records(folder) if folder else records_in_mlflow(default_uri(home.root), experiment.name)
    records = [one for one in source if one.experiment == experiment.name and _same_variant(one, experiment)]
    if not records:
        raise SepbenchError(
            f"there are no records of {experiment.name} as asked for in {folder or 'MLflow'}: run it first, or name "
            f"the profile and overrides that it was run with"
        )
    expected = [cell_id(experiment, cell) for cell in experiment.cells()]
    return build(records, experiment.table, expected=expected, where=where, experiment=experiment.name)


def _same_variant(record: Record, experiment: Experiment) -> bool:
    return record.profile == experiment.profile and record.overrides == experiment.overrides
