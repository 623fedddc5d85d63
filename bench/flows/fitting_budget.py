"""The track that a protected set belongs to: the budget that holds for all of its images."""

from collections.abc import Iterator

from bench.contracts.budget import UNLIMITED, Budget
from bench.core.errors import SepbenchError
from bench.core.norms import NORMS, plain
from bench.data.releases.spent import Spent

_USUAL_LINF = (1, 2, 4, 8, 16, 32)
_USUAL_L0 = (1, 2, 4, 8, 16)
_USUAL_L2 = (0.5, 1.0, 2.0, 4.0)


def fitting_budget(spent: Spent) -> Budget:
    """Return the smallest usual linf budget that every image keeps; else one of l0 or l2, else none at all."""
    return next(budget for budget in _usual() if not beyond(spent, budget))


def beyond(spent: Spent, budget: Budget) -> int:
    """Return how many images leave a budget."""
    bound = NORMS[budget.norm].bound
    if bound is None or budget.size is None:
        return 0
    return int((spent.by_field()[bound.field] > budget.size * (1 + bound.slack)).sum())


def check_budget(spent: Spent, budget: Budget, what: str) -> None:
    """Raise `SepbenchError` where an image leaves a budget."""
    count = beyond(spent, budget)
    if not count:
        return
    bound = NORMS[budget.norm].bound
    assert bound is not None
    most = spent.most()[bound.field]
    raise SepbenchError(
        f"{what} leaves the budget {budget}: {count:,} of its {len(spent.linf):,} images do, one by "
        f"{plain(round(most, 3))} {bound.unit}; leave --budget out to have the track found, which would be "
        f"{fitting_budget(spent)}"
    )


def _usual() -> Iterator[Budget]:
    for norm, sizes in (("linf", _USUAL_LINF), ("l0", _USUAL_L0), ("l2", _USUAL_L2)):
        yield from (Budget.parse(f"{norm}-{size}") for size in sizes)
    yield UNLIMITED
