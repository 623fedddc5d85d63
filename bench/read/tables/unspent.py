"""Methods that changed images by less than their budget let them."""

from collections.abc import Mapping, Sequence

from bench.core.norms import NORMS
from bench.data.counts import names_of
from bench.read.tables.table import Labels, TableCell
from bench.record.record import Record
from bench.spec.axes import AXES
from bench.spec.names import REFERENCES, as_text

_NEARLY = 0.95
"""From this share of a budget of floats on, it counts as spent."""


def describe_unspent(
    cells: Sequence[TableCell], labels: Mapping[str, Labels], records: Mapping[str, Record]
) -> tuple[str, ...]:
    """Return a sentence on what methods left of their budgets, if any did.

    Counted is the image that was changed most. `records` holds those of the cells by their keys.
    """
    told: dict[str, None] = {}
    for cell in cells:
        norm, size = cell["budget"] or (None, None)
        bound = NORMS[norm].bound if norm is not None and norm in NORMS else None
        if bound is None or not size or cell.method in REFERENCES:
            continue
        spent = [value for key in cell.keys if (value := getattr(records[key], bound.field)) is not None]
        if spent and max(spent) < (_NEARLY if bound.slack else 1) * size:
            method = AXES["method"].label(cell["method"], list(labels["method"]))
            told[f"{method} {as_text(round(max(spent), 2))} of {as_text(size)} {bound.unit}"] = None
    return (f"Spent less than their budget: {names_of([*told])}.",) if told else ()
