"""A table as HTML: one page that needs nothing else, or the table alone."""

from collections.abc import Iterator, Sequence
from html import escape

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

STYLE = """\
body { font: 16px/1.5 system-ui, sans-serif; color: #1c1c1c; background: #fff; margin: 2rem; }
figure { margin: 0; overflow-x: auto; }
table { border-collapse: collapse; border-block: 2px solid #1c1c1c; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding-block-end: 0.5rem; }
thead { border-block-end: 1px solid #1c1c1c; }
th, td { padding: 0.2rem 0.8rem; text-align: right; white-space: nowrap; font-weight: normal; }
thead th { vertical-align: bottom; }
th[scope=row], th.axis { text-align: left; }
th[scope=colgroup] { text-align: center; border-block-end: 1px solid #999; }
td.published { color: #555; font-style: italic; }
td.best strong { font-weight: 700; }
p.warning { max-width: 60rem; font-weight: 600; }
figcaption { max-width: 60rem; font-size: 0.9rem; }
figcaption p { margin-block: 0.5rem; }"""


def to_html(table: Table) -> str:
    """Return a page with the table and the notes below it; no script, nothing from elsewhere."""
    lines = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{_text(title_of(table))}</title>",
        f"<style>\n{STYLE}\n</style>",
        "</head>",
        "<body>",
        html_table(table),
        "</body>",
        "</html>",
    ]
    return "\n".join(lines) + "\n"


def html_table(table: Table) -> str:
    """Return the table and its notes as one `<figure>`, for a page with a style of its own.

    Cells have the classes best, published and summary; heads of row axes have the class axis, paragraphs above the
    table the class warning.
    """
    columns = columns_of(table)
    body = []
    for labels, entries in zip(table.rows, zip(*(column.entries for column in columns), strict=True), strict=True):
        names = [f'<th scope="row">{_text(label)}</th>' for label in labels]
        numbers = [_cell(column, entry) for column, entry in zip(columns, entries, strict=True)]
        body.append(f"<tr>{''.join([*names, *numbers])}</tr>")
    lines = [
        "<figure>",
        *(f'<p class="warning">{_text(warning)}</p>' for warning in table.warnings),
        "<table>",
        f"<caption>{_text(title_of(table))}</caption>",
        "<thead>",
        *_head([AXES[axis].title for axis in table.row_axes], columns),
        "</thead>",
        "<tbody>",
        *body,
        "</tbody>",
        "</table>",
        "<figcaption>",
        *(f"<p>{_text(note)}</p>" for note in [*about(table), *describe_sources(table)]),
        "</figcaption>",
        "</figure>",
    ]
    return "\n".join(lines)


def _head(names: Sequence[str], columns: Sequence[Column]) -> Iterator[str]:
    levels = spans([column.header for column in columns])
    for depth, level in enumerate(levels):
        rowspan = _span("rowspan", len(levels) - depth)
        first = [f'<th scope="col" class="axis"{rowspan}>{_text(name)}</th>' for name in names]
        labels = [
            f'<th scope="col"{rowspan}>{_text(span.label)}</th>'
            if span.leaf
            else f'<th scope="colgroup"{_span("colspan", span.stop - span.start)}>{_text(span.label)}</th>'
            for span in level
        ]
        yield f"<tr>{''.join([*(first if depth == 0 else []), *labels])}</tr>"


def _span(name: str, count: int) -> str:
    return f' {name}="{count}"' if count > 1 else ""


def _cell(column: Column, entry: Entry) -> str:
    kinds = [kind for kind, holds in (("best", entry.best), (column.kind, column.kind != "measured")) if holds]
    number = _text(entry.number)
    number = f"<strong>{number}</strong>" if entry.best else number
    interval = f" ± {entry.half_width}" if entry.half_width else ""
    mark = f" {_text(entry.mark)}" if entry.mark else ""
    css = f' class="{" ".join(kinds)}"' if kinds else ""
    return f"<td{css}>{number}{interval}{mark}</td>"


def _text(text: str) -> str:
    return escape(text, quote=False)
