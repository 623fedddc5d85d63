"""A table as CSV and JSON, for programs."""

import csv
import io
import json
from collections.abc import Mapping
from typing import Any, get_args

from bench.core.keys import canonical
from bench.core.norms import Beside
from bench.read.tables.table import SummaryCell, Table, TableCell
from bench.spec.axes import AXES
from bench.spec.names import FORMULA

# The order that programs read since the first version: axes that came later follow the numbers.
_FIRST = ("method", "budget", "dataset", "victim", "defense")


def to_csv(table: Table) -> str:
    """Return one line per cell with its whole identity; keys are separated by spaces, None is empty.

    Where a norm has fields of the audit beside its numbers, these are further columns.
    """
    cells = table.distinct_cells()
    numbers = ["mean", "half_width", "n", "missing", "best"]
    beside = list(dict.fromkeys(field for cell in cells for field, _ in cell.beside))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["experiment", "value", *cells[0].fields(), *numbers, *beside, "keys"])
    for cell in cells:
        fields = cell.fields().values()
        identity = [canonical(value) if isinstance(value, Mapping) else _as_cell(value) for value in fields]
        values = [*(getattr(cell, name) for name in numbers), *map(dict(cell.beside).get, beside)]
        writer.writerow([_as_cell(table.experiment), table.value, *identity, *values, _as_cell(" ".join(cell.keys))])
    return text.getvalue()


def to_json(table: Table) -> str:
    """Return the table as the JSON that other programs read, numbers unrounded.

    The budget-free reference is one cell with norm and budget null, however many columns repeat it. `best` is null
    where it was not judged. `summaries` is there where the layout asks for some, `warnings` where there are some. A
    cell whose norm bounds no change has fields of the audit too, the mean over its protected sets.
    """
    document: dict[str, Any] = {
        "experiment": table.experiment,
        "value": table.value,
        "cells": [_cell(cell) for cell in table.distinct_cells()],
    }
    summaries = [
        _summary(column.header, cell)
        for column in table.summaries
        for cell in column.cells
        if cell is not None and cell.kind not in get_args(Beside)
    ]
    if table.warnings:
        document["warnings"] = list(table.warnings)
    if summaries:
        document["summaries"] = summaries
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _as_cell(value: Any) -> Any:
    """Return a value as spreadsheets show it: a text that they would take for a formula begins with an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _cell(cell: TableCell) -> dict[str, Any]:
    return {
        **{name: value for axis in _FIRST for name, value in AXES[axis].write(cell[axis]).items()},
        "mean": cell.mean,
        "half_width": cell.half_width,
        "n": cell.n,
        "keys": list(cell.keys),
        "published": [
            {name: getattr(one, name) for name in ("source", "test_acc", "std", "n", "differs", "note")}
            for one in cell.published
        ]
        or None,
        **{name: value for axis in AXES if axis not in _FIRST for name, value in AXES[axis].write(cell[axis]).items()},
        "missing": cell.missing,
        "best": cell.best,
        **dict(cell.beside),
    }


def _summary(header: tuple[str, ...], cell: SummaryCell) -> dict[str, Any]:
    return {
        "summary": cell.kind,
        "label": list(header),
        "mean": cell.mean,
        "low": cell.low,
        "high": cell.high,
        "n": cell.n,
        "keys": list(cell.keys),
        "settings": [one.fields() for one in cell.settings],
    }
