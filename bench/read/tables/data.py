"""A table as CSV and JSON, for programs."""

import csv
import io
import json
from dataclasses import asdict, fields
from typing import Any

from bench.read.tables.table import (
    Cell,
    Setting,
    SummaryCell,
    Table,
)


def to_csv(table: Table) -> str:
    """Return one line per cell with its whole identity; keys are separated by spaces, None is empty."""
    names = [field.name for field in fields(Setting)]
    numbers = ["mean", "half_width", "n", "missing", "best"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["experiment", "value", *names, *numbers, "keys"])
    for cell in table.distinct_cells():
        values = [getattr(cell, name) for name in (*names, *numbers)]
        writer.writerow([table.experiment, table.value, *values, " ".join(cell.keys)])
    return text.getvalue()


def to_json(table: Table) -> str:
    """Return the table as the JSON that other programs read, numbers unrounded.

    The budget-free reference is one cell with norm and budget null, however many columns repeat it. `best` is null
    where it was not judged. `summaries` is there where the layout asks for some.
    """
    document: dict[str, Any] = {
        "experiment": table.experiment,
        "value": table.value,
        "cells": [_cell(cell) for cell in table.distinct_cells()],
    }
    if table.summaries:
        document["summaries"] = [
            _summary(column.header, cell) for column in table.summaries for cell in column.cells if cell is not None
        ]
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _cell(cell: Cell) -> dict[str, Any]:
    return {
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
        "published": [
            {"source": one.source, "test_acc": one.test_acc, "std": one.std, "n": one.n, "note": one.note}
            for one in cell.published
        ]
        or None,
        "recipe": cell.recipe,
        "protected_fraction": cell.protected_fraction,
        "clean_images": cell.clean_images,
        "missing": cell.missing,
        "best": cell.best,
    }


def _summary(header: tuple[str, ...], cell: SummaryCell) -> dict[str, Any]:
    settings = [{**asdict(one), "method_params": json.loads(one.method_params)} for one in cell.settings]
    return {
        "summary": cell.kind,
        "label": list(header),
        "mean": cell.mean,
        "low": cell.low,
        "high": cell.high,
        "n": cell.n,
        "keys": list(cell.keys),
        "settings": settings,
    }
