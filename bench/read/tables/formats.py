"""The formats of a table by their names."""

from collections.abc import Callable

from bench.core.errors import SepbenchError
from bench.read.tables.data import to_csv, to_json
from bench.read.tables.html import to_html
from bench.read.tables.latex import to_latex
from bench.read.tables.markdown import to_markdown
from bench.read.tables.table import Table

FORMATS: dict[str, Callable[[Table], str]] = {
    "md": to_markdown,
    "csv": to_csv,
    "latex": to_latex,
    "html": to_html,
    "json": to_json,
}


def check_format(format: str) -> None:
    """Raise `SepbenchError` for a format there is not."""
    if format not in FORMATS:
        raise SepbenchError(f"unknown table format '{format}': choose one of {', '.join(FORMATS)}")


def render(table: Table, format: str) -> str:
    """Print a table as "md", "csv", "latex", "html" or "json"; raises `SepbenchError` for any other format."""
    check_format(format)
    return FORMATS[format](table)
