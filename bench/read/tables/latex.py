"""A table as LaTeX, with the rules of booktabs."""

import re
from collections.abc import Iterator, Sequence

from bench.read.tables.columns import (
    Column,
    Entry,
    about,
    columns_of,
    title_of,
)
from bench.read.tables.sources import describe_sources
from bench.read.tables.spans import spans
from bench.read.tables.table import Table
from bench.spec.axes import AXES

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "[": "{[}",  # behind a line break, a bracket would be its length
    "±": r"$\pm$",
    "†": r"$\dagger$",
    "·": r"$\cdot$",
    "\N{EN DASH}": "--",
    "…": r"\dots{}",
    **{letter: f"\\{letter}" for letter in "_%&#${}"},
}


def escape(text: str) -> str:
    """Return the text as LaTeX prints it, read by pdflatex with the T1 encoding."""
    return "".join(_ESCAPES.get(letter, letter) for letter in text)


def to_latex(table: Table) -> str:
    r"""Return a `table` environment with caption and label, for documents that use booktabs and T1 fonts.

    Every column of numbers is two of the tabular, meeting without space where the means end, so that points stand
    below each other; a further line below the tabular names each source of published numbers.
    """
    columns = columns_of(table)
    names = [AXES[axis].title for axis in table.row_axes]
    alignment = "l" * len(names) + "".join("r" if column.kind == "published" else "r@{}l" for column in columns)
    body = [
        " & ".join([*map(escape, labels), *texts]) + r" \\"
        for labels, texts in zip(table.rows, zip(*map(_texts, columns), strict=True), strict=True)
    ]
    caption = escape(" ".join([f"{title_of(table)}.", *table.warnings, *about(table)]))
    sources = [rf"\par\smallskip\raggedright\footnotesize {escape(note)}" for note in describe_sources(table)]
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{caption}}}",
        rf"\label{{tab:{re.sub(r'[^A-Za-z0-9]+', '-', f'{table.experiment}-{table.value}').strip('-')}}}",
        r"\medskip",
        rf"\begin{{tabular}}{{{alignment}}}",
        r"\toprule",
        *_head(names, columns),
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        *sources,
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def latex_document(tables: Sequence[Table]) -> str:
    """Return a complete document of these tables, for pdflatex."""
    preamble = [
        r"\documentclass{article}",
        r"\usepackage[a4paper,landscape,margin=2cm]{geometry}",
        r"\usepackage[T1]{fontenc}",
        r"\usepackage{booktabs}",
        r"\begin{document}",
    ]
    return "\n".join([*preamble, *map(to_latex, tables), r"\end{document}"]) + "\n"


def _head(names: Sequence[str], columns: Sequence[Column]) -> Iterator[str]:
    """Yield the lines of the head: outer labels over rules, the innermost of each column on the last line."""
    widths = [1 if column.kind == "published" else 2 for column in columns]
    starts = [len(names) + 1 + sum(widths[:i]) for i in range(len(columns) + 1)]
    levels = spans([column.header for column in columns])
    leaves = [column.header[-1] for column in columns]
    for level in levels[:-1]:
        outer = [span for span in level if not span.leaf]
        cells, rules, column = [""] * len(names), [], 0
        for span in outer:
            cells += [""] * (starts[span.start] - starts[column])
            width = starts[span.stop] - starts[span.start]
            cells.append(rf"\multicolumn{{{width}}}{{c}}{{{escape(span.label)}}}")
            rules.append(rf"\cmidrule(lr){{{starts[span.start]}-{starts[span.stop] - 1}}}")
            column = span.stop
        cells += [""] * (starts[-1] - starts[column])
        yield " & ".join(cells) + r" \\"
        yield " ".join(rules)
    last = [
        rf"\multicolumn{{{width}}}{{{'r' if width == 1 else 'c'}}}{{{escape(label)}}}"
        for width, label in zip(widths, leaves, strict=True)
    ]
    yield " & ".join([*map(escape, names), *last]) + r" \\"


def _texts(column: Column) -> list[str]:
    """Return the cells of one column, those of numbers as two: the mean, and what follows it."""
    if column.kind == "published":
        return [rf"\textsl{{{escape(entry.number)}}}" if entry.number else "" for entry in column.entries]
    wide = max(len(entry.half_width) for entry in column.entries)
    return [f"{_number(entry)} & {_behind(entry, wide)}".rstrip() for entry in column.entries]


def _number(entry: Entry) -> str:
    return rf"\textbf{{{escape(entry.number)}}}" if entry.best else escape(entry.number)


def _behind(entry: Entry, wide: int) -> str:
    """Return half-width and mark; digits that a half-width lacks keep their space, so that points align."""
    padding = "0" * (wide - len(entry.half_width))
    phantom = rf"\phantom{{{padding}}}" if padding else ""
    interval = rf" $\pm$ {phantom}{entry.half_width}" if entry.half_width else ""
    return f"{interval} {escape(entry.mark)}".rstrip().replace(" ", "~")
