"""A table as LaTeX, with the rules of booktabs."""

import re
from collections.abc import Iterator, Sequence

from bench.read.tables.columns import (
    about,
    columns_of,
    title_of,
)
from bench.read.tables.latex_tabular import RowHeads, Tabular, escape
from bench.read.tables.letters import width_of
from bench.read.tables.sources import describe_sources
from bench.read.tables.table import Table
from bench.read.tables.unmeasured import measured_rows
from bench.spec.axes import AXES

_NARROW, _WIDE = 226.0, 340.0  # points: a column of two, and the text of a paper that has one
_PAGE = 520.0  # points of its height
_LINE, _NOTE = 12.2, 9.6  # points of a line of a caption, and of a note


def to_latex(table: Table) -> str:
    r"""Return a table with caption and label, for documents of one or two columns that use booktabs and T1 fonts.

    What fits into a column is a `table`, what does not a `table*`: its columns stand in blocks below each other where
    they are wider than the text of a page with one column, and in several floats where they are too high for it. Every
    column of numbers is two of the tabular, meeting without space where the means end, so that points stand below each
    other; notes below the last say the rest. Rows of which nothing is measured are named there.
    """
    shown, unmeasured = measured_rows(table)
    columns = columns_of(shown)
    heads = RowHeads([AXES[axis].title for axis in shown.row_axes], shown.rows)
    whole = Tabular(heads, columns)
    if whole.width > _NARROW and len(heads.names) > 1:
        whole = Tabular(heads.grouped(), columns)
    narrow = whole.width <= _NARROW
    width = _NARROW if narrow else _WIDE
    title = f"{title_of(table)}."
    caption = " ".join(text for text in (title, *table.warnings, table.context, table.caption) if text)
    marked = any(entry.mark.startswith("(") for column in columns for entry in column.entries)
    notes = [
        *([f"Not shown, as nothing of them is measured: {unmeasured}."] if unmeasured else []),
        *(["In brackets: n, or runs done/planned."] if marked else []),
        *(text for text in about(table) if text not in (table.context, table.caption)),
    ]
    sources = describe_sources(table)
    told = sum(_height(text, width, 8) * _NOTE for text in [" ".join(notes), *sources] if text)
    floats = list(_floats(whole.blocks(width), _PAGE - _height(caption, width, 10) * _LINE))
    last = sum(block.height for block in floats[-1]) + _height(title if floats[1:] else caption, width, 10) * _LINE
    below = [_note(" ".join(notes)), *map(_note, sources)] if notes or sources else []
    kind = "table" if narrow else "table*"
    name = re.sub(r"[^A-Za-z0-9]+", "-", f"{table.experiment}-{table.value}").strip("-")
    lines: list[str] = []
    for number, blocks in enumerate(floats, 1):
        captioned = caption if number == 1 else f"{title} Continued."
        label = name if number == 1 else f"{name}-{number}"
        final = number == len(floats) and last + told <= _PAGE
        lines += _float(kind, captioned, label, blocks, below if final else [], again=number > 1)
    if last + told > _PAGE:
        lines += _begin(kind) + below + [rf"\end{{{kind}}}"]
    return "\n".join(lines) + "\n"


def latex_document(tables: Sequence[Table], columns: int = 1) -> str:
    """Return a complete document of these tables, for pdflatex."""
    preamble = [
        rf"\documentclass[{'twocolumn' if columns == 2 else 'onecolumn'}]{{article}}",
        r"\usepackage[T1]{fontenc}",
        r"\usepackage{booktabs}",
        r"\begin{document}",
    ]
    bodies = (f"{to_latex(table)}\\clearpage" for table in tables)
    return "\n".join([*preamble, *bodies, r"\end{document}"]) + "\n"


def _floats(blocks: Sequence[Tabular], room: float) -> Iterator[list[Tabular]]:
    """Yield the blocks of each float: as many as a page has room for, one at least."""
    own: list[Tabular] = []
    for block in blocks:
        if own and sum(one.height for one in own) + block.height > room:
            yield own
            own = []
        own.append(block)
    yield own


def _float(
    kind: str, caption: str, label: str, blocks: Sequence[Tabular], below: Sequence[str], *, again: bool
) -> list[str]:
    tabulars = [
        line for block in blocks for line in (*([r"\par\medskip"] if block != blocks[0] else []), *block.lines())
    ]
    return [
        *_begin(kind),
        *([r"\addtocounter{table}{-1}"] if again else []),
        rf"\caption{{{_breakable(caption)}}}",
        rf"\label{{tab:{label}}}",
        r"\medskip",
        *tabulars,
        *below,
        rf"\end{{{kind}}}",
    ]


def _begin(kind: str) -> list[str]:
    return [rf"\begin{{{kind}}}", r"\centering", r"\footnotesize", r"\setlength{\tabcolsep}{3pt}"]


def _note(text: str) -> str:
    return rf"\par\smallskip\raggedright\footnotesize {_breakable(text)}"


def _breakable(text: str) -> str:
    """Return the text as LaTeX prints it, with places for a line to end in words that are longer than one."""
    parts = re.split(r"(?<=[=,/:+·])(?=[^\s\d])|(?<=,)(?=\d)", text)
    return r"\allowbreak{}".join(map(escape, parts))


def _height(text: str, width: float, points: float) -> int:
    """Return about how many lines a text takes."""
    return 1 + int(1.05 * width_of(text, points) / width)
