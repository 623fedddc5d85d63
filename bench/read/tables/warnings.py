"""The sentences above a table: why its numbers may not say what they seem to."""

from collections.abc import Iterable, Mapping, Sequence

from bench.read.chance import near_chance
from bench.read.data_counts import counts_of
from bench.read.tables.table import Labels, Setting, TableCell
from bench.record.record import Record
from bench.record.values import OF_TEST_IMAGES
from bench.spec.axes import AXES, axes_in_order

CLEAN = "none"


def context_of(setting: Setting) -> Setting:
    """Return what a result and the clean reference that it is measured against have in common."""
    return setting.without(*(axis.name for axis in AXES.values() if axis.of_release))


def clean_references(cells: Iterable[TableCell]) -> dict[Setting, TableCell]:
    """Return the clean references that were measured by their context."""
    return {context_of(cell): cell for cell in cells if cell.method == CLEAN and cell.mean is not None}


def doubtful_contexts(
    cells: Sequence[TableCell], value: str, records: Mapping[str, Record]
) -> dict[Setting, tuple[TableCell, str]]:
    """Return the contexts whose clean reference is near chance, with how it stands to it.

    `records` holds those of the cells by their keys.
    """
    if value not in OF_TEST_IMAGES:
        return {}
    judged = {
        context: (cell, near_chance([records[key] for key in cell.keys]))
        for context, cell in clean_references(cells).items()
    }
    return {context: (cell, said) for context, (cell, said) in judged.items() if said is not None}


def warnings(
    doubtful: Mapping[Setting, tuple[TableCell, str]],
    cells: Sequence[TableCell],
    labels: Mapping[str, Labels],
    done: Iterable[Record],
) -> tuple[str, ...]:
    """Return what a reader has to know before the numbers."""
    found = []
    if doubtful:
        cell, said = next(iter(doubtful.values()))
        references = clean_references(cells)
        varying = [axis for axis in axes_in_order("victim") if len({one[axis.name] for one in references}) > 1]
        where = ", ".join(axis.phrase(cell[axis.name], list(labels[axis.name])) for axis in varying)
        more = len(doubtful) - 1
        others = f", and so in {more} other setting{'s' * (more > 1)}" if more else ""
        found.append(
            f"{f'With {where}, ' * bool(where)}{CLEAN} reaches {said}{others}: what protects cannot be told "
            f"{'there' if where else 'here'}."
        )
    counted = ((record.dataset, counts_of(record)) for record in done)
    odd = (text for dataset, counts in counted if counts for text in counts.oddities(dataset))
    found += dict.fromkeys(f"{text[:1].upper()}{text[1:]}." for text in odd)
    return tuple(found)
