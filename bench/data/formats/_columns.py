"""Columns of Parquet files: found by name, and the labels in them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bench.api import SepbenchError
from bench.data.formats._classes import whole_numbers


@dataclass(frozen=True)
class Column:
    """A column of a file, or a field of a struct in one.

    Attributes
    ----------
    path
        Name of the column, then those of the fields that lead to what is wanted.
    kind
        Its type.

    """

    path: tuple[str, ...]
    kind: Any

    @property
    def name(self) -> str:
        """As pyarrow calls it where columns are chosen."""
        return ".".join(self.path)

    def of(self, batch: Any) -> Any:
        """Return it from a table or batch that holds its column."""
        stored = batch.column(batch.schema.get_field_index(self.path[0]))
        return pc.struct_field(stored, list(self.path[1:])) if len(self.path) > 1 else stored


def find(schema: Any, name: str) -> Column | None:
    """Return the column of that name, or the field where the name is a path such as `data.image`; None without one.

    Raises `SepbenchError`, a clause that the file's name begins, where several are called so.
    """
    fields = [schema.field(position) for position in range(len(schema))]
    found = [*_called(fields, name)]
    found = [column for column in found if len(column.path) == 1] or found
    if not found:
        return None
    column = found[0]
    same = [field for field in fields if field.name == column.path[0]]
    if len(same) > 1:
        raise SepbenchError(f"has {len(same)} columns called '{column.path[0]}': rename or drop all but one")
    if len(found) > 1:
        raise SepbenchError(f"has {len(found)} columns that '{name}' may mean: rename or drop all but one")
    return column


def _called(fields: Iterable[Any], name: str) -> Iterator[Column]:
    for field in fields:
        if field.name == name:
            yield Column((field.name,), field.type)
        elif name.startswith(f"{field.name}.") and pa.types.is_struct(field.type):
            inner = [field.type.field(position) for position in range(field.type.num_fields)]
            for column in _called(inner, name.removeprefix(f"{field.name}.")):
                yield Column((field.name, *column.path), column.kind)


def labels_of(column: Any, what: str, where: Callable[[int], str]) -> NDArray[Any]:
    """Return the labels of a chunked column: int64 [N], or object [N] of str where they are names of classes.

    Numbers of any type count where all are whole, lists where each holds one label. Raises `SepbenchError` for
    anything else.
    """
    stored = column.type
    while True:
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        elif is_list(column.type):
            column = _only_elements(column, what, where)
        else:
            break
    kind = column.type
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    try:
        values = column.to_pylist() if text else None
    except UnicodeDecodeError as error:
        raise SepbenchError(f"{what} has text that is not UTF-8 ({error.object!r}): encode it so") from error
    _refuse_missing(column.null_count if values is None else sum(not value for value in values), what)
    if values is not None:
        return np.array([*values, None], object)[:-1]  # never an array of the characters
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return whole_numbers(column.to_numpy(), what, where)
    raise SepbenchError(f"{what} is {stored}: labels must be integers, or names of classes")


def is_list(kind: Any) -> bool:
    """Return whether values of this type are lists."""
    return any(
        test(kind)
        for test in (
            pa.types.is_list,
            pa.types.is_large_list,
            pa.types.is_fixed_size_list,
            pa.types.is_list_view,
            pa.types.is_large_list_view,
        )
    )


def _only_elements(column: Any, what: str, where: Callable[[int], str]) -> Any:
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    several = np.flatnonzero(lengths > 1)
    if several.size:
        first = int(several[0])
        raise SepbenchError(f"{what} has {lengths[first]} labels in {where(first)}: each image needs one")
    _refuse_missing(int((lengths == 0).sum()), what)
    return pc.list_flatten(column)


def _refuse_missing(count: int, what: str) -> None:
    if count:
        raise SepbenchError(
            f"{what} has {count} {'row' if count == 1 else 'rows'} without a label: fill or drop "
            f"{'it' if count == 1 else 'them'}"
        )
