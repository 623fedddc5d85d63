"""One tabular of a LaTeX table: some of its rows and columns."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from bench.read.tables.blocks import blocks_of
from bench.read.tables.columns import Column, Entry
from bench.read.tables.letters import held_together, lines_of, width_of
from bench.read.tables.spans import spans
from bench.spec.names import NOTHING

_SIZE, _SMALL = 8.0, 7.0  # points of \footnotesize and \scriptsize
_BETWEEN = 6.0  # points between columns
_HEAD = 12  # letters of a line of a head
_NAMED = 105.0  # points of the name of a row
_ROW, _RULES = 9.8, 16.0  # points
_ROWS = 38  # of a block

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
    "\N{NO-BREAK SPACE}": "~",
    **{letter: f"\\{letter}" for letter in "_%&#${}"},
}


def escape(text: str) -> str:
    """Return the text as LaTeX prints it, read by pdflatex with the T1 encoding."""
    return "".join(_ESCAPES.get(letter, letter) for letter in text)


@dataclass(frozen=True)
class RowHeads:
    """What names the rows: a title for each axis that has a column, labels by row, and above which rows a line stands.

    `groups` holds a label for each row where the outermost axis stands as a line above its rows, else nothing.
    """

    names: Sequence[str]
    rows: Sequence[tuple[str, ...]]
    groups: Sequence[str] = ()

    def grouped(self) -> "RowHeads":
        """Return the outermost axis as lines above the rows, which takes no column."""
        return RowHeads(self.names[1:], [row[1:] for row in self.rows], [row[0] for row in self.rows])

    def part(self, rows: range) -> "RowHeads":
        """Return the heads of some rows."""
        return RowHeads(self.names, self.rows[rows.start : rows.stop], self.groups[rows.start : rows.stop])

    @property
    def width(self) -> float:
        """Points that they take."""
        labels = [[name, *own] for name, own in zip(self.names, zip(*self.rows, strict=True), strict=True)]
        return sum(min(_NAMED, max(width_of(label, _SIZE) for label in own)) + _BETWEEN for own in labels)


@dataclass(frozen=True)
class Tabular:
    """Rows with some columns of numbers."""

    heads: RowHeads
    columns: Sequence[Column]

    @property
    def width(self) -> float:
        """About how many points it is wide."""
        return self.heads.width + sum(map(_width, self.columns))

    @property
    def height(self) -> float:
        """About how many points it is high."""
        wrapped = sum(width_of(label, _SIZE) > _NAMED for row in self.heads.rows for label in row)
        groups = len(list(groupby(self.heads.groups)))
        head = max(sum(len(lines_of(label, _HEAD)) for label in column.header) for column in self.columns)
        return _ROW * (len(self.heads.rows) + wrapped + 1.3 * groups + head) + _RULES

    def blocks(self, room: float) -> list["Tabular"]:
        """Return it in blocks that fit into so many points of width, and onto a page."""
        count = len(self.heads.rows)
        pieces = [range(start, min(start + _ROWS, count)) for start in range(0, count, _ROWS)]
        return [
            Tabular(self.heads.part(rows), [_part(self.columns[i], rows) for i in block])
            for block in blocks_of(list(map(_width, self.columns)), self.heads.width, room)
            for rows in pieces
        ]

    def lines(self) -> Iterator[str]:
        """Yield its lines."""
        alignment = "l" * len(self.heads.names) + "".join(
            "r" if column.kind == "published" else "r@{}l" for column in self.columns
        )
        yield rf"\begin{{tabular}}{{{alignment}}}"
        yield r"\toprule"
        yield from _head(self.heads.names, self.columns)
        yield r"\midrule"
        yield from self._body(len(self.heads.names) + sum(1 + (one.kind != "published") for one in self.columns))
        yield r"\bottomrule"
        yield r"\end{tabular}"

    def _body(self, width: int) -> Iterator[str]:
        group = NOTHING
        texts = zip(*map(_texts, self.columns), strict=True)
        for i, (labels, own) in enumerate(zip(self.heads.rows, texts, strict=True)):
            if self.heads.groups and self.heads.groups[i] != group:
                group = self.heads.groups[i]
                yield from [r"\addlinespace"] * (i > 0)
                yield rf"\multicolumn{{{width}}}{{l}}{{\textit{{{escape(group)}}}}} \\"
            yield " & ".join([*map(_named, labels), *own]) + r" \\"


def _part(column: Column, rows: range) -> Column:
    return Column(column.header, column.kind, column.entries[rows.start : rows.stop])


def _width(column: Column) -> float:
    head = max(width_of(line, _SIZE) for label in column.header for line in lines_of(label, _HEAD))
    number = max(width_of(entry.number, _SIZE, bold=entry.best) for entry in column.entries)
    if column.kind == "published":
        return max(head, number) + _BETWEEN
    wide = max(len(entry.half_width) for entry in column.entries)
    behind = max(width_of(_plain(entry, wide), _SMALL) for entry in column.entries)
    return max(head, number + behind) + _BETWEEN


def _plain(entry: Entry, wide: int) -> str:
    """Return about what stands behind a mean."""
    return (f" ± {'0' * wide}" if entry.half_width else "") + (f" {_short(entry.mark)}" if entry.mark else "")


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
            label = _stacked(span.label, _HEAD * (span.stop - span.start), "c")
            cells.append(rf"\multicolumn{{{width}}}{{c}}{{{label}}}")
            rules.append(rf"\cmidrule(lr){{{starts[span.start]}-{starts[span.stop] - 1}}}")
            column = span.stop
        cells += [""] * (starts[-1] - starts[column])
        yield " & ".join(cells) + r" \\"
        yield " ".join(rules)
    sides = ["r" if width == 1 else "c" for width in widths]
    last = [
        rf"\multicolumn{{{width}}}{{{side}}}{{{_stacked(label, _HEAD, side)}}}"
        for width, side, label in zip(widths, sides, leaves, strict=True)
    ]
    yield " & ".join([*map(escape, names), *last]) + r" \\"


def _stacked(label: str, letters: int, side: str) -> str:
    """Return a label in lines below each other."""
    lines = list(map(escape, lines_of(label, letters)))
    joined = r"\\".join(lines)
    return joined if len(lines) == 1 else rf"\begin{{tabular}}[b]{{@{{}}{side}@{{}}}}{joined}\end{{tabular}}"


def _named(label: str) -> str:
    """Return the name of a row, in lines where it is long."""
    if width_of(label, _SIZE) <= _NAMED:
        return escape(label)
    breakable = re.sub(r"(?<=[,=])(?=\S)", "\0", held_together(label))
    text = escape(breakable).replace("\0", r"\allowbreak{}")
    return rf"\parbox[t]{{{_NAMED:g}pt}}{{\raggedright\hangindent=6pt {text}}}"


def _texts(column: Column) -> list[str]:
    """Return the cells of one column, those of numbers as two: the mean, and what follows it."""
    if column.kind == "published":
        return [rf"\textsl{{{escape(entry.number)}}}" if entry.number else "" for entry in column.entries]
    wide = max(len(entry.half_width) for entry in column.entries)
    return [f"{_number(entry)} & {_behind(entry, wide)}".rstrip() for entry in column.entries]


def _number(entry: Entry) -> str:
    return rf"\textbf{{{escape(entry.number)}}}" if entry.best else escape(entry.number)


def _behind(entry: Entry, wide: int) -> str:
    """Return half-width and mark, smaller; digits that a half-width lacks keep their space, so that points align."""
    padding = "0" * (wide - len(entry.half_width))
    phantom = rf"\phantom{{{padding}}}" if padding else ""
    interval = rf" $\pm$ {phantom}{entry.half_width}" if entry.half_width else ""
    text = f"{interval} {escape(_short(entry.mark))}".rstrip().replace(" ", "~")
    return rf"{{\scriptsize{text}}}" if text else ""


def _short(mark: str) -> str:
    """Return a mark as short as can be: `(3)` for `(n = 3)`, `(1/3)` for `(1 of 3)`."""
    return re.sub(r"(\d+) of (\d+)", r"\1/\2", mark.replace("n = ", ""))
