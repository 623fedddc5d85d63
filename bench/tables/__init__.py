"""From records to the table a person reads."""

from bench.tables.build import build
from bench.tables.formats import render, to_csv, to_json, to_markdown
from bench.tables.layout import AXES, VALUES, TableLayout
from bench.tables.table import Cell, CellId, Setting, Table

__all__ = [
    "AXES",
    "VALUES",
    "Cell",
    "CellId",
    "Setting",
    "Table",
    "TableLayout",
    "build",
    "render",
    "to_csv",
    "to_json",
    "to_markdown",
]
