"""A table for a terminal: as wide as its window, in blocks below each other where that is not enough."""

import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from rich.cells import cell_len

from bench.read.tables.blocks import blocks_of
from bench.read.tables.columns import about, columns_of, title_of
from bench.read.tables.letters import held_together, lines_of
from bench.read.tables.markdown import entries_of, label_of
from bench.read.tables.sources import describe_sources
from bench.read.tables.table import Table
from bench.read.tables.unmeasured import measured_rows
from bench.spec.axes import AXES

_HEAD = 14  # letters of a line of a head
_NAMED = 30  # letters of the name of a row, at most
_LEAST = 20  # letters of a window
_GAP = 2


def to_terminal(table: Table, width: int) -> str:
    """Return what `to_markdown` says in lines of `width` letters at most, where no single column is wider.

    Heads and names of rows end in several lines where they are long; columns that do not fit beside the others follow
    below, each block with the names of the rows. Rows of which nothing is measured are named alone.
    """
    width = max(width, _LEAST)
    shown, unmeasured = measured_rows(table)
    named = min(_NAMED, width // 3)
    names = [
        [lines_of(AXES[axis].title, named), *(lines_of(label, named) for label in labels)]
        for axis, labels in zip(table.row_axes, zip(*shown.rows, strict=True), strict=True)
    ]
    numbers = [
        [lines_of(label_of(column), _HEAD), *([text] for text in entries_of(column))] for column in columns_of(shown)
    ]
    blocks = blocks_of([_width(one) + _GAP for one in numbers], sum(_width(one) + _GAP for one in names), width + _GAP)
    parts = [f"**{title_of(table)}**", *table.warnings]
    texts = ["\n\n".join(_wrapped(text, width) for text in parts)]
    texts += ["\n".join(_lines(names, [numbers[i] for i in block])) for block in blocks]
    left_out = [f"Not shown, as nothing of them is measured: {unmeasured}."] if unmeasured else []
    texts += ["\n".join(_wrapped(text, width) for text in [*left_out, *about(table), *describe_sources(table)])]
    return "\n\n".join(texts) + "\n"


def _lines(names: Sequence[Sequence[Sequence[str]]], numbers: Sequence[Sequence[Sequence[str]]]) -> Iterator[str]:
    """Yield the lines of one block; each column has its head and its cells, all of them in lines."""
    widths = [_width(column) for column in (*names, *numbers)]
    for i, cells in enumerate(zip(*names, *numbers, strict=True)):
        high = max(map(len, cells))
        # A head stands on its rule.
        stacked = [[""] * (high - len(lines)) + list(lines) for lines in cells] if i == 0 else cells
        for line in zip_longest(*stacked, fillvalue=""):
            padded = (
                text + " " * (wide - cell_len(text)) if j < len(names) else " " * (wide - cell_len(text)) + text
                for j, (text, wide) in enumerate(zip(line, widths, strict=True))
            )
            yield (" " * _GAP).join(padded).rstrip()
        if i == 0:
            yield (" " * _GAP).join("-" * wide for wide in widths)


def _width(column: Sequence[Sequence[str]]) -> int:
    return max(cell_len(line) for lines in column for line in lines)


def _wrapped(text: str, width: int) -> str:
    lines = textwrap.fill(held_together(text), width, break_on_hyphens=False)
    return lines.replace("\N{NO-BREAK SPACE}", " ")
