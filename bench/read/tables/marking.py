"""Marking the best method of each column, and all that cannot be told from it."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace

from bench.read.stats import (
    CONFIDENCE,
    SMALLEST_N,
    Samples,
    Test,
    best_and_ties,
)
from bench.read.tables.table import Grid, Setting, TableCell
from bench.read.tables.warnings import clean_references, context_of
from bench.record.values import OF_TEST_IMAGES, value_of
from bench.spec.layout import TableLayout
from bench.spec.names import REFERENCES

NAMES: dict[Test, str] = {"ttest": "paired t-test", "wilcoxon": "Wilcoxon signed-rank test"}


def mark_best(grid: Grid, layout: TableLayout, doubtful: Collection[Setting] = ()) -> tuple[Grid, tuple[str, ...]]:
    """Return the cells with `best` set, and sentences on what it means and why something is not marked.

    Methods compete where all else is the same; the references do not take part. The comparisons of a column, or of a
    row where methods are columns, are one family. An accuracy that is not below that of the clean reference is never
    the best, and in `doubtful` contexts nothing is.
    """
    better = value_of(layout.value).better
    by_row, by_column = "method" in layout.columns, "method" in layout.row_axes
    if layout.best == "none" or not (by_row or by_column):
        return grid, ()
    if better is None:
        why = f"Nothing is marked: neither end of {layout.value} is better."
        return grid, () if layout.best == "auto" else (why,)
    test: Test = "ttest" if layout.best == "auto" else layout.best
    clean = clean_references(cell for row in grid for cell in row) if layout.value in OF_TEST_IMAGES else {}
    marks: dict[TableCell, bool] = {}
    unjudged = in_doubt = harmless = judged = tied = 0
    for line in grid if by_row else zip(*grid, strict=True):
        rivals = competitors(line)
        groups = [group for group in rivals if context_of(group[0]) not in doubtful]
        in_doubt += len(rivals) - len(groups)
        samples: list[list[Samples]] = [[dict(cell.samples) for cell in group] for group in groups]
        for group, flags in zip(groups, best_and_ties(samples, better == "highest", test), strict=True):
            if flags is not None:
                lower = [_is_below(cell, clean.get(context_of(cell))) for cell in group]
                harmless += sum(flag and not below for flag, below in zip(flags, lower, strict=True))
                bold = [flag and below for flag, below in zip(flags, lower, strict=True)]
                marks.update(zip(group, bold, strict=True))
                judged += 1
                tied += sum(bold) > 1
            unjudged += flags is None and len(group) > 1
    marked = tuple(tuple(replace(cell, best=marks.get(cell)) for cell in row) for row in grid)
    line_name = "row" if by_row else "column"
    sentences = [meaning_of_bold(better, test, line_name)] if marks else []
    if harmless:
        sentences.append("Not bold: what would be, and is not below the clean reference.")
    if layout.best != "auto" and (unjudged or in_doubt or not marks):
        what = f"Not every {line_name} is marked" if marks else "Nothing is marked"
        doubt = "the clean reference is near chance" if in_doubt else "no two methods compete"
        sentences.append(f"{what}: {_why_not(test) if unjudged else doubt}.")
    if tied:
        where = "Several" if judged == 1 else f"In {tied} of {judged} comparisons several"
        sentences.append(f"{where} are bold: which of them is the {better} cannot be told.")
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


def _is_below(cell: TableCell, reference: TableCell | None) -> bool:
    """Return whether the mean is below that of the clean reference, if there is one."""
    return reference is None or reference.mean is None or cell.mean is None or cell.mean < reference.mean


def meaning_of_bold(better: str, test: Test, line: str) -> str:
    """Say what bold is where the `better` end of the scale is marked in each `line`, a row or a column."""
    level = f"{100 * (1 - CONFIDENCE):.2g} %"
    return (
        f"Bold: the {better} of the methods in a {line}, all else equal, and all that are not distinguishable from it "
        f"at {level} ({NAMES[test]} by seed, Holm-corrected over the comparisons of a {line}); references take no part."
    )


def _why_not(test: Test) -> str:
    return f"a {NAMES[test]} takes {SMALLEST_N[test]} or more samples of each method with the seeds of the best one's"
