"""Choosing some cells of an experiment by the values of their fields."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

from pydantic import ValidationError

from bench.contracts.budget import Budget
from bench.contracts.defense import Defenses
from bench.core.errors import SepbenchError
from bench.core.registry import UnknownName
from bench.spec.cell import Cell


def choosing(cells: Sequence[Cell], wanted: Iterable[tuple[str, str]], asked_by: str) -> Callable[[Cell], bool]:
    """Return whether a cell has one of the values wanted of every field named.

    `asked_by` is what messages call the request, such as `--only`. Raises `UnknownName` for a field that cells lack,
    `SepbenchError` for a value that none of `cells` has.
    """
    choices: dict[str, set[str]] = {}
    for field, value in wanted:
        if field not in Cell.selectable():
            raise UnknownName(f"field of {asked_by}", field, Cell.selectable())
        choices.setdefault(field, set()).add(_as_cells_write(field, value))
    for field, values in choices.items():
        texts = [cell.texts(field) for cell in cells]
        for value in sorted(values.difference(*texts)):
            known = ", ".join(sorted({usual for usual, *_ in texts}))
            raise SepbenchError(f"{asked_by} {field}={value}: no cell has it; choose from {known}")
    return lambda cell: all(values.intersection(cell.texts(field)) for field, values in choices.items())


def in_reach(cells: Sequence[Cell], wanted: Mapping[str, Sequence[str]]) -> dict[str, list[str]] | None:
    """Return the values of every field that some cell has; None where a field has none of its values left."""
    found = {
        field: [value for value in values if any(_as_cells_write(field, value) in cell.texts(field) for cell in cells)]
        for field, values in wanted.items()
    }
    return found if all(found.values()) else None


def _as_cells_write(field: str, value: str) -> str:
    """Return a defense or a budget as cells write it, however somebody did; other values as they are."""
    with suppress(SepbenchError, ValidationError):
        if field == "defense":
            return str(Defenses.parse(value))
        if field == "budget":
            return str(Budget.parse(value))
    return value
