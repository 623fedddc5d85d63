"""A table as Markdown, CSV and JSON."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import fields

from rich.cells import cell_len

from bench.errors import SepbenchError
from bench.tables.table import (
    Cell,
    Setting,
    Table,
)
from bench.tables.text import NOTHING, axis_title

# What a value is called in a title, and its decimals; the others go by their field name with one decimal.
TITLES = {
    "test_acc": ("test accuracy (%)", 1),
    "peak_acc": ("peak test accuracy (%)", 1),
    "train_acc": ("training accuracy (%)", 1),
    "relabelled_acc": ("relabelled test accuracy (%)", 1),
    "n_test": ("test images", 0),
    "epochs": ("epochs", 0),
    "linf_levels": ("largest linf change (levels of 1/255)", 0),
    "l2": ("largest l2 change (pixels in [0, 1])", 2),
    "l0": ("largest number of changed pixels", 0),
    "psnr": ("PSNR (dB)", 1),
    "ssim": ("SSIM", 3),
    "craft_passes": ("crafting passes", 0),
    "craft_seconds": ("crafting time (s)", 1),
    "surrogate_seconds": ("surrogate training time (s)", 1),
    "train_seconds": ("victim training time (s)", 1),
    "peak_memory_mb": ("peak memory (MiB)", 0),
}


def render(table: Table, format: str) -> str:
    """Print a table as "md", "csv" or "json"; raises `SepbenchError` for any other format."""
    renderers = {"md": to_markdown, "csv": to_csv, "json": to_json}
    if format not in renderers:
        raise SepbenchError(f"unknown table format '{format}': choose one of {', '.join(renderers)}")
    return renderers[format](table)


def to_markdown(table: Table) -> str:
    """Return a GitHub table with title and caption, padded so that it also reads well in a terminal."""
    title, decimals = _title(table.value)
    names = [axis_title(axis) for axis in table.row_axes]
    numbers = [" · ".join(header) or title for header in table.columns]
    columns = [
        *([name, *labels] for name, labels in zip(names, zip(*table.rows, strict=True), strict=True)),
        *(
            [name, *_aligned(cells, decimals, table.n)]
            for name, cells in zip(numbers, zip(*table.cells, strict=True), strict=True)
        ),
    ]
    columns = [[text.replace("|", "\\|") for text in column] for column in columns]
    widths = [max(3, *map(cell_len, column)) for column in columns]
    left = len(names)

    def line(texts: Iterable[str]) -> str:
        padded = []
        for i, (text, width) in enumerate(zip(texts, widths, strict=True)):
            space = " " * (width - cell_len(text))
            padded.append(text + space if i < left else space + text)
        return f"| {' | '.join(padded)} |"

    head, *body = map(line, zip(*columns, strict=True))
    rule = line("-" * width if i < left else "-" * (width - 1) + ":" for i, width in enumerate(widths))
    about = [text for text in (table.context, table.caption, *table.notes) if text]
    return "\n".join([f"**{table.experiment}: {title}**", "", head, rule, *body, "", *about]) + "\n"


def _aligned(cells: Sequence[Cell], decimals: int, n: int | None) -> list[str]:
    """Return the texts of one column with the points of means and of half-widths below each other."""
    halves = ["" if cell.half_width is None else f"{cell.half_width:.{decimals}f}" for cell in cells]
    marks = [_mark(cell, n) for cell in cells]
    wide, tail = max(map(len, halves)), max(map(len, marks))
    texts = []
    for cell, half, mark in zip(cells, halves, marks, strict=True):
        mean = NOTHING if cell.mean is None else f"{cell.mean:.{decimals}f}"
        interval = f" ± {half:>{wide}}" if half else " " * (wide + 3 if wide else 0)
        texts.append(f"{mean}{interval}{mark:<{tail}}")
    return texts


def _mark(cell: Cell, n: int | None) -> str:
    if cell.partial:
        progress = f"{len(cell.keys)} of {cell.runs}"
        return f" ({progress})" if cell.n in (n, len(cell.keys)) else f" (n = {cell.n}, {progress})"
    return "" if cell.n in (0, n) else f" (n = {cell.n})"


def to_csv(table: Table) -> str:
    """Return one line per cell with its whole identity; keys are separated by spaces, None is empty."""
    names = [field.name for field in fields(Setting)]
    numbers = ["mean", "half_width", "n", "missing"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["experiment", "value", *names, *numbers, "keys"])
    for cell in table.distinct_cells():
        values = [getattr(cell, name) for name in (*names, *numbers)]
        writer.writerow([table.experiment, table.value, *values, " ".join(cell.keys)])
    return text.getvalue()


def to_json(table: Table) -> str:
    """Return the table as the JSON that other programs read, numbers unrounded.

    The budget-free reference is one cell with norm and budget null, however many columns repeat it.
    """
    cells = [
        {
            "method": cell.method,
            "method_params": json.loads(cell.method_params),
            "norm": cell.norm,
            "budget": cell.budget,
            "dataset": cell.dataset,
            "victim": cell.victim,
            "defense": cell.defense,
            "mean": cell.mean,
            "half_width": cell.half_width,
            "n": cell.n,
            "keys": list(cell.keys),
            "published": None,
        }
        for cell in table.distinct_cells()
    ]
    document = {"experiment": table.experiment, "value": table.value, "cells": cells}
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _title(value: str) -> tuple[str, int]:
    return TITLES.get(value, (value, 1))
