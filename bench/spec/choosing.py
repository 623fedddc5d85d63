"""Choosing some cells of an experiment by the values of their fields."""

from collections.abc import Callable, Iterable, Sequence

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
        choices.setdefault(field, set()).add(value)
    for field, values in choices.items():
        texts = [cell.texts(field) for cell in cells]
        for value in sorted(values.difference(*texts)):
            known = ", ".join(sorted({usual for usual, *_ in texts}))
            raise SepbenchError(f"{asked_by} {field}={value}: no cell has it; choose from {known}")
    return lambda cell: all(values.intersection(cell.texts(field)) for field, values in choices.items())
