"""A table as Markdown."""

from collections.abc import Iterable, Sequence

from rich.cells import cell_len

from bench.read.tables.columns import (
    MEASURED,
    Column,
    Entry,
    about,
    columns_of,
    title_of,
)
from bench.read.tables.sources import describe_sources
from bench.read.tables.table import Table
from bench.spec.axes import AXES


def to_markdown(table: Table) -> str:
    """Return a GitHub table with title, warnings and caption, padded so that it also reads well in a terminal."""
    names = [AXES[axis].title for axis in table.row_axes]
    columns = [
        *([name, *labels] for name, labels in zip(names, zip(*table.rows, strict=True), strict=True)),
        *([label_of(column), *entries_of(column)] for column in columns_of(table)),
    ]
    lines = aligned(columns, len(names))
    below = [*about(table), *describe_sources(table)]
    above = [line for warning in table.warnings for line in (warning, "")]
    return "\n".join([f"**{title_of(table)}**", "", *above, *lines, "", *below]) + "\n"


def aligned(columns: Sequence[Sequence[str]], left: int) -> list[str]:
    """Return the lines of a GitHub table whose columns, heads first, are padded; the first `left` to the left."""
    columns = [[text.replace("|", "\\|") for text in column] for column in columns]
    widths = [max(3, *map(cell_len, column)) for column in columns]

    def line(texts: Iterable[str]) -> str:
        padded = []
        for i, (text, width) in enumerate(zip(texts, widths, strict=True)):
            space = " " * (width - cell_len(text))
            padded.append(text + space if i < left else space + text)
        return f"| {' | '.join(padded)} |"

    head, *body = map(line, zip(*columns, strict=True))
    rule = line("-" * width if i < left else "-" * (width - 1) + ":" for i, width in enumerate(widths))
    return [head, rule, *body]


def label_of(column: Column) -> str:
    """Return the labels in one line; what a published column stands beside need not be said twice."""
    if column.kind == "published":
        return column.header[-1]
    return " · ".join(label for label in column.header if label != MEASURED)


def entries_of(column: Column) -> list[str]:
    """Return the texts of one column with the points of means and of half-widths below each other."""
    if column.kind == "published":
        return [entry.number for entry in column.entries]
    entries: Sequence[Entry] = column.entries
    wide, tail = (max(map(len, texts)) for texts in zip(*((one.half_width, one.mark) for one in entries), strict=True))
    bold = any(entry.best for entry in entries)
    texts = []
    for entry in entries:
        number = f"**{entry.number}**" if entry.best else f"{entry.number}{'  ' if bold else ''}"
        interval = f" ± {entry.half_width:>{wide}}" if entry.half_width else " " * (wide + 3 if wide else 0)
        texts.append(f"{number}{interval}{f' {entry.mark:<{tail}}' if tail else ''}")
    return texts
