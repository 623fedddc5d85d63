"""From records to the table a person reads."""

from bench.read.tables.build import build
from bench.read.tables.data import to_csv, to_json
from bench.read.tables.formats import FORMATS, check_format, render
from bench.read.tables.html import html_table, to_html
from bench.read.tables.latex import latex_document, to_latex
from bench.read.tables.markdown import to_markdown
from bench.read.tables.table import (
    CellId,
    Setting,
    SummaryCell,
    SummaryColumn,
    Table,
    TableCell,
)
from bench.read.tables.terminal import to_terminal
from bench.spec.layout import VALUES, TableLayout

__all__ = [
    "FORMATS",
    "VALUES",
    "CellId",
    "Setting",
    "SummaryCell",
    "SummaryColumn",
    "Table",
    "TableCell",
    "TableLayout",
    "build",
    "check_format",
    "html_table",
    "latex_document",
    "render",
    "to_csv",
    "to_html",
    "to_json",
    "to_latex",
    "to_markdown",
    "to_terminal",
]
