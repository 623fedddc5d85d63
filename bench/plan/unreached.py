"""Rows of an experiment whose steps are too few or too short for their budget."""

from collections.abc import Iterator

from bench.contracts.budget import Budget
from bench.contracts.method import Method
from bench.core.norms import NORMS
from bench.spec.experiment import Experiment
from bench.spec.method_row import row_labels
from bench.spec.names import as_text

_ROUNDING = 1e-6


def unreached(experiment: Experiment) -> Iterator[str]:
    """Yield a clause, without a point, for each row and budget of which some is left whatever the images are."""
    for row, label in zip(experiment.methods, row_labels(experiment.methods), strict=True):
        method = row.build()
        for budget in experiment.budgets:
            if budget.norm in method.norms and (clause := _short(method, budget)):
                yield f"{label} {clause}"


def _short(method: Method, budget: Budget) -> str | None:
    reach, bound = method.reach(budget), NORMS[budget.norm].bound
    if reach is None or bound is None or not budget.size or reach > 1 - _ROUNDING:
        return None
    farthest, size = as_text(round(reach * budget.size, 2)), as_text(budget.size)
    return (
        f"uses at most {farthest} of the {size} {bound.unit} of {budget}, as far as all its steps together go: ask for "
        f"more or longer ones"
    )
