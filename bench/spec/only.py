"""`--only`: choosing some cells of an experiment."""

from collections.abc import Callable, Sequence

from bench.spec.cell import Cell
from bench.spec.choosing import choosing
from bench.spec.experiment import Experiment


def selector(experiment: Experiment, wanted: Sequence[tuple[str, str]]) -> Callable[[Cell], bool]:
    """Return whether a cell has one of the values wanted of every field named.

    Raises `UnknownName` for a field that cells lack, `SepbenchError` for a value that no cell has.
    """
    return choosing(experiment.cells(), wanted, "--only") if wanted else lambda cell: True
