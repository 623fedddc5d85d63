"""From records to the table a person reads."""

from bench.tables.build import build
from bench.tables.data import to_csv, to_json
from bench.tables.formats import FORMATS, render
from bench.tables.html import html_table, to_html
from bench.tables.latex import latex_document, to_latex
from bench.tables.layout import AXES, VALUES, TableLayout
from bench.tables.markdown import to_markdown
from bench.tables.table import Cell, CellId, Setting, SummaryCell, SummaryColumn, Table

__all__ = [
    "AXES",
    "FORMATS",
    "VALUES",
    "Cell",
    "CellId",
    "Setting",
    "SummaryCell",
    "SummaryColumn",
    "Table",
    "TableLayout",
    "build",
    "html_table",
    "latex_document",
    "render",
    "to_csv",
    "to_html",
    "to_json",
    "to_latex",
    "to_markdown",
]
