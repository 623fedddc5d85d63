"""How large a difference the seeds of a table would have shown."""

from collections import defaultdict
from collections.abc import Iterable
from itertools import chain

from bench.read.stats import POWER, Samples, resolution
from bench.read.tables.table import Grid, Setting, TableCell
from bench.read.tables.warnings import context_of
from bench.record.values import value_of
from bench.spec.layout import TableLayout


def smallest_difference(grid: Grid, layout: TableLayout) -> tuple[str, ...]:
    """Return a sentence on the difference that a paired t-test finds with the seeds of a table, if there is one.

    The spread is that of the methods that compete. Where none do, it is that of all releases, the clean images among
    them, that differ in nothing else.
    """
    value = value_of(layout.value)
    if layout.best == "wilcoxon" or value.better is None:
        return ()
    cells = [cell for cell in dict.fromkeys(chain.from_iterable(grid)) if cell.samples]
    tested = _grouped((cell.without("method"), cell) for cell in cells if cell.best is not None)
    found = resolution(tested or _grouped((context_of(cell), cell) for cell in cells))
    if found is None:
        return ()
    difference, spread = (f"{number:.{value.decimals}f}" for number in (found.difference, found.spread))
    often = f"{100 * POWER:g} % of cases{', and smaller ones, or several at once, less often' if tested else ''}"
    return (
        f"With n = {found.n} one paired t-test finds a true difference of {difference} in {often} (standard deviation "
        f"of paired differences: {spread}).",
    )


def _grouped(cells: Iterable[tuple[Setting, TableCell]]) -> list[list[Samples]]:
    groups: defaultdict[Setting, list[Samples]] = defaultdict(list)
    for what, cell in cells:
        groups[what].append(dict(cell.samples))
    return list(groups.values())
