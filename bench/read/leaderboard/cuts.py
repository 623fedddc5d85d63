"""Which results weigh less: those of one run, and those made with less work than their method asks for."""

from collections.abc import Sequence

from pydantic import ValidationError

from bench.contracts.method import METHODS
from bench.core.errors import SepbenchError
from bench.read.leaderboard.rows import Row
from bench.read.tables.quality import over_protected_sets


def weaknesses(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return a reason for each thing that makes the rows of one setting weigh less.

    It takes fewer passes than the default of its method, as in `50 of 900 passes`, or a number is of one run.
    """
    measured = [row for row in rows if row.records]
    found = [_cut(measured)] if measured else []
    if any(row.half_width is None for row in measured):
        found.append("one run")
    return tuple(reason for reason in found if reason is not None)


def _cut(rows: Sequence[Row]) -> str | None:
    """Return how far a setting stays below its method's default, None where it does not.

    Of methods that do not come with sepbench, and of images that somebody brought, nobody knows.
    """
    records = [record for row in rows for record in row.records if record.craft_passes is not None]
    passes, method = over_protected_sets(records, "craft_passes"), rows[0].method
    if passes is None or records[0].brought or not METHODS.is_ours(method):
        return None
    kind = METHODS.get(method)
    try:
        full = kind(kind.Params()).passes()
    except (ValidationError, SepbenchError):  # a parameter has no default
        return None
    return f"{passes_text(passes)} of {passes_text(full)} passes" if passes < full * (1 - 1e-6) else None


def passes_text(passes: float) -> str:
    """Return a number of passes, whole from 10 on."""
    return f"{passes:,.0f}" if passes >= 10 else f"{passes:.2g}"
