"""What a call from Python gives back: records, their table, figures, and whether a protection holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from bench.core.errors import SepbenchError
from bench.core.registry import UnknownName
from bench.plan.plan import Plan
from bench.read.evaluated import diluted_last, is_evaluation
from bench.read.tables import Table, render
from bench.read.tabulation import cell_id, table_of
from bench.read.verdict import Verdict, verdict
from bench.record.record import Record

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False, eq=False)
class Result:
    """What was measured. A notebook shows its table, and the verdict where there is one.

    Attributes
    ----------
    plan
        The cells that were asked for.
    measured
        A record for each cell that has ended, in the order of the plan.
    report
        What was found before anything was trained; empty where nothing was looked at.

    """

    plan: Plan
    measured: Sequence[Record]
    report: str = ""

    @cached_property
    def records(self) -> "pd.DataFrame":
        """A row for each victim run, a column for each field of a record: accuracies in percent, times in seconds."""
        import pandas as pd

        return pd.DataFrame([dict(one) for one in self.measured], columns=list(Record.model_fields))

    @cached_property
    def table(self) -> Table:
        """Means with their intervals, laid out as the experiment says.

        A notebook shows it as HTML, `print` as Markdown; `table.frame()` has the numbers.
        """
        table = table_of(self.plan, self.measured)
        return diluted_last(table) if is_evaluation(self.measured) else table

    @property
    def failures(self) -> list[Record]:
        """The records of the cells that failed, each with its reason."""
        return [one for one in self.measured if one.status == "failed"]

    @cached_property
    def verdict(self) -> Verdict | None:
        """Whether the protection holds; None where the records are of several, or of none."""
        expected = [cell_id(self.plan.experiment, planned.cell) for planned in self.plan.cells]
        if all(run.method == "none" for run in expected):
            return None
        try:
            return verdict(self.measured, expected)
        except SepbenchError:
            return None

    def plot(self, kind: str = "bars") -> "Figure":
        """Return a figure: `bars`, `ablation` or `passes`.

        Raises `UnknownName` for any other kind, `SepbenchError` where there is not enough for it.
        """
        from bench.read.plots import RECORDS_ALONE, SCREEN
        from bench.read.plots.from_records import FROM_RECORDS

        if kind not in RECORDS_ALONE:
            raise UnknownName("kind of plot from records", kind, RECORDS_ALONE)
        return FROM_RECORDS[kind](self.table, self.measured, self.plan.experiment.title, SCREEN)

    def __repr__(self) -> str:
        return self._repr_markdown_()

    def _repr_markdown_(self) -> str:
        parts = [*([self.verdict.text()] if self.verdict else []), render(self.table, "md")]
        failed = [
            f"Failed: {one.method} {one.victim} {one.defense} seed {one.seed}: {one.reason}" for one in self.failures
        ]
        return "\n\n".join(part.rstrip() for part in [*parts, *failed] if part) + "\n"
