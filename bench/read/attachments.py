"""What MLflow keeps of a run besides the runs of its stages: its table and its figures."""

from collections.abc import Sequence

from bench.plan.plan import Plan
from bench.read.tables import render
from bench.read.tabulation import TABLE_FORMS, table_of
from bench.record.record import Record


def tables(plan: Plan, records: Sequence[Record]) -> dict[str, str]:
    """Return the table of what was measured in every form that is kept, by the names of their files."""
    if not _measured(records):
        return {}
    table = table_of(plan, records)
    return {f"table.{form}": render(table, form) for form in TABLE_FORMS}


def figures(plan: Plan, records: Sequence[Record]) -> dict[str, str]:
    """Return the figures that records alone give, as SVG by the names of their files."""
    if not _measured(records):
        return {}
    from bench.read.plots import svgs  # takes a second to import

    drawn = svgs(table_of(plan, records), records, plan.experiment.title)
    return {f"plots/{kind}.svg": text for kind, text in drawn.items()}


def _measured(records: Sequence[Record]) -> bool:
    return any(one.status == "done" for one in records)
