"""Marking the best method of each column, and all that cannot be told from it."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from bench.read.stats import (
    CONFIDENCE,
    SMALLEST_N,
    Test,
    best_and_ties,
)
from bench.read.tables.table import Grid, Setting, TableCell
from bench.record.values import value_of
from bench.spec.layout import TableLayout
from bench.spec.names import REFERENCES

NAMES: dict[Test, str] = {"ttest": "paired t-test", "wilcoxon": "Wilcoxon signed-rank test"}


def mark_best(grid: Grid, layout: TableLayout) -> tuple[Grid, tuple[str, ...]]:
    """Return the cells with `best` set, and sentences on what it means and why something is not marked.

    Methods compete where all else is the same; the references do not take part. The comparisons of a column, or of a
    row where methods are columns, are one family.
    """
    better = value_of(layout.value).better
    by_row, by_column = "method" in layout.columns, "method" in layout.row_axes
    if layout.best == "none" or not (by_row or by_column):
        return grid, ()
    if better is None:
        why = f"Nothing is marked: neither end of {layout.value} is better."
        return grid, () if layout.best == "auto" else (why,)
    test: Test = "ttest" if layout.best == "auto" else layout.best
    marks: dict[TableCell, bool] = {}
    unjudged = 0
    for line in grid if by_row else zip(*grid, strict=True):
        groups = competitors(line)
        samples = [[dict(cell.samples) for cell in group] for group in groups]
        for group, flags in zip(groups, best_and_ties(samples, better == "highest", test), strict=True):
            if flags is not None:
                marks.update(zip(group, flags, strict=True))
            unjudged += flags is None and len(group) > 1
    marked = tuple(tuple(replace(cell, best=marks.get(cell)) for cell in row) for row in grid)
    line_name = "row" if by_row else "column"
    sentences = [_meaning(better, test, line_name)] if marks else []
    if layout.best != "auto" and (unjudged or not marks):
        what = f"Not every {line_name} is marked" if marks else "Nothing is marked"
        sentences.append(f"{what}: {_why_not(test) if unjudged else 'no two methods compete'}.")
    return marked, tuple(sentences)


def competitors(line: Sequence[TableCell]) -> list[list[TableCell]]:
    """Return the measured cells of a line that differ in their method alone, without references."""
    groups: defaultdict[Setting, list[TableCell]] = defaultdict(list)
    for cell in dict.fromkeys(line):
        if competes(cell) and cell.samples:
            groups[cell.without("method")].append(cell)
    return list(groups.values())


def competes(cell: TableCell) -> bool:
    """Return whether the cell is a protection rather than what protections are measured against."""
    return cell.norm is not None and cell.method not in REFERENCES


def _meaning(better: str, test: Test, line: str) -> str:
    level = f"{100 * (1 - CONFIDENCE):.2g} %"
    return (
        f"Bold: the {better} of the methods in a {line}, all else equal, and all that are not distinguishable from it "
        f"at {level} ({NAMES[test]} by seed, Holm-corrected over the comparisons of a {line}); references take no part."
    )


def _why_not(test: Test) -> str:
    return f"a {NAMES[test]} takes {SMALLEST_N[test]} or more samples of each method with the seeds of the best one's"
