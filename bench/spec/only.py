"""`--only`: choosing some cells of an experiment."""

from collections.abc import Callable, Sequence

from bench.core.errors import SepbenchError
from bench.core.registry import UnknownName
from bench.spec.cell import Cell
from bench.spec.experiment import Experiment

_FIELDS = (
    "method",
    "budget",
    "victim",
    "defense",
    "seed",
    "surrogate_seed",
    "craft_seed",
    "protected_fraction",
    "clean_images",
)


def selector(experiment: Experiment, wanted: Sequence[tuple[str, str]]) -> Callable[[Cell], bool]:
    """Return whether a cell has one of the values wanted of every field named.

    Raises `UnknownName` for a field that cells lack, `SepbenchError` for a value that no cell has.
    """
    choices: dict[str, set[str]] = {}
    for field, value in wanted:
        if field not in _FIELDS:
            raise UnknownName("field of --only", field, _FIELDS)
        choices.setdefault(field, set()).add(value)
    if not choices:
        return lambda cell: True
    cells = experiment.cells()
    for field, values in choices.items():
        known = {_text(cell, field) for cell in cells}
        for value in sorted(values - known):
            raise SepbenchError(f"--only {field}={value}: no cell has it; choose from {', '.join(sorted(known))}")
    return lambda cell: all(_text(cell, field) in values for field, values in choices.items())


def _text(cell: Cell, field: str) -> str:
    return str(cell.budget or "none") if field == "budget" else str(cell.fields()[field])
