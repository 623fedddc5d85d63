"""`--only`: choosing some cells of an experiment."""

from collections.abc import Callable, Sequence

from bench.core.errors import SepbenchError
from bench.core.registry import UnknownName
from bench.spec.axes import AXES, SEEDS
from bench.spec.cell import Cell
from bench.spec.experiment import Experiment


def selector(experiment: Experiment, wanted: Sequence[tuple[str, str]]) -> Callable[[Cell], bool]:
    """Return whether a cell has one of the values wanted of every field named.

    Raises `UnknownName` for a field that cells lack, `SepbenchError` for a value that no cell has.
    """
    if not wanted:
        return lambda cell: True
    cells = experiment.cells()
    fields = [name for name in (*AXES, *SEEDS) if name in cells[0].fields()]
    choices: dict[str, set[str]] = {}
    for field, value in wanted:
        if field not in fields:
            raise UnknownName("field of --only", field, fields)
        choices.setdefault(field, set()).add(value)
    for field, values in choices.items():
        texts = [_texts(cell, field) for cell in cells]
        for value in sorted(values.difference(*texts)):
            known = ", ".join(sorted({usual for usual, *_ in texts}))
            raise SepbenchError(f"--only {field}={value}: no cell has it; choose from {known}")
    return lambda cell: all(values.intersection(_texts(cell, field)) for field, values in choices.items())


def _texts(cell: Cell, field: str) -> list[str]:
    """Return what a person may write for a cell's value, the usual way first."""
    fields = cell.fields()
    return AXES[field].texts(fields) if field in AXES else [str(fields[field])]
