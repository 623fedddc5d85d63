"""A sentence below tables of the last epoch's accuracy on victims that do far better by another one."""

from collections.abc import Mapping, Sequence

from bench.read.above_last import OTHERS, far_above_last
from bench.read.tables.table import Labels, TableCell
from bench.record.record import Record
from bench.spec.axes import AXES
from bench.spec.names import REFERENCES


def describe_flattering(
    cells: Sequence[TableCell], value: str, labels: Mapping[str, Labels], records: Mapping[str, Record]
) -> tuple[str, ...]:
    """Return a sentence on settings that the last epoch flatters, if there are any.

    `records` holds those of the cells by their keys.
    """
    if value != "test_acc":
        return ()
    own = [cell for cell in cells if cell.keys and cell.method not in REFERENCES]
    found = {cell: far_above_last([records[key] for key in cell.keys]) for cell in own}
    told: list[str] = []
    for field, called in OTHERS.items():
        above = {cell: means[field] for cell, means in found.items() if field in means}
        if above:
            cell = max(above, key=lambda one: above[one] - (one.mean or 0.0))
            method = AXES["method"].label(cell["method"], list(labels["method"]))
            far = "" if told else " is 5 points or more above it"
            most = f"{above[cell]:.1f} against {cell.mean:.1f} for {method}"
            told.append(f"{called} accuracy{far} in {len(above)} of {len(own)} settings ({most})")
    fields = [f"table.value={field}" for field in OTHERS if any(field in means for means in found.values())]
    return (f"The last epoch flatters: {', '.join(told)}: --set {' or '.join(fields)}.",) if told else ()
