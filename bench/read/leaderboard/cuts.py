"""Which results weigh less: those of one run, and those made with less work than their method asks for."""

from collections.abc import Sequence

from pydantic import ValidationError

from bench.contracts.method import METHODS, total_passes
from bench.core.errors import SepbenchError
from bench.read.leaderboard.rows import Row
from bench.spec.names import passes_text


def weaknesses(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return a reason for each thing that makes the rows of one setting weigh less.

    It may take fewer passes than the default of its method may, as in `50 of 900 passes`, or a number is of one run.
    """
    measured = [row for row in rows if row.records]
    found = [_cut(measured[0])] if measured else []
    if any(row.half_width is None for row in measured):
        found.append("one run")
    return tuple(reason for reason in found if reason is not None)


def _cut(row: Row) -> str | None:
    """Return how far a setting stays below its method's default, None where it does not.

    Both are asked of the method: one that stopped before its last round was not cut. Of methods that do not come with
    sepbench, and of images that somebody brought, nobody knows.
    """
    first = row.records[0]
    if first.brought or not METHODS.is_ours(row.method):
        return None
    # Records from before they told how many images there are are of methods that take whole passes.
    kind, images = METHODS.get(row.method), first.n_train or 1
    try:
        settings = (kind.Params.model_validate(row.params, strict=False), kind.Params())
        spent, full = (total_passes(kind(params), images, images) for params in settings)
    except (ValidationError, SepbenchError):  # it takes other parameters now, or has one without a default
        return None
    return f"{passes_text(spent)} of {passes_text(full)} passes" if spent < full * (1 - 1e-6) else None
