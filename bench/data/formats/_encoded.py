"""Images in a column of a Parquet file, a few of them in memory at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from bench.api import SepbenchError, decode
from bench.data.formats._columns import Column, is_list
from bench.data.formats._mistaken import its_text, what_is_there

# A batch is so many bytes where images are of one size, and at most so many images where a few are far larger. Beside
# it stands one page of the file, which the program that wrote it has chosen.
BATCH_BYTES = 64 * 2**20
BATCH_ROWS = 32


@contextmanager
def reading(path: Path) -> Iterator[Any]:
    """Open a Parquet file; turns what is wrong with it into one `SepbenchError`."""
    try:
        # Without these two a column is read whole, however little of it is asked for.
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=2**20) as file:
            yield file
    except PermissionError as error:
        raise SepbenchError(f"{path} cannot be read ({error.strerror}): make it readable") from error
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # the last one of broken column names
        named = what_is_there(path, "parquet")
        reason = its_text(path) or str(error).partition("\n")[0]
        raise SepbenchError(
            f"{path} {named}" if named else f"{path} cannot be read as Parquet ({reason}): replace it"
        ) from error


def refuse_many(path: Path, metadata: Any) -> None:
    """Raise `SepbenchError` where a file declares more rows than a bit of it each: no images, but packed labels."""
    if metadata.num_rows > 8 * path.stat().st_size:
        raise SepbenchError(f"{path} declares {metadata.num_rows:,} rows, more than it has room for: replace it")


@contextmanager
def filled(path: Path, column: Column, with_what: str) -> Iterator[None]:
    """Turn what pyarrow says of null rows in lists of a fixed size, which it cannot read, into a `SepbenchError`."""
    try:
        yield
    except pa.ArrowInvalid as error:
        if "Expected all lists to be of size" not in str(error):
            raise
        raise SepbenchError(
            f"column '{column.name}' of {path} has rows without {with_what}: fill or drop them"
        ) from error


def damaged(path: Path) -> SepbenchError:
    """Return what is said of a file whose parts contradict one another."""
    return SepbenchError(f"{path} is damaged: its parts disagree on how many rows there are: replace it")


def encoded(image: Column) -> Column | None:
    """Return the column or field of the bytes of an image column, None where it has none."""
    if pa.types.is_struct(image.kind):
        position = image.kind.get_field_index("bytes")
        image = image if position < 0 else Column((*image.path, "bytes"), image.kind.field(position).type)
    return image if _is_bytes(image.kind) else None


def images(path: Path, image: Column, rows: NDArray[np.int64]) -> Iterator[Image.Image]:
    """Decode the images in `rows` of a file, int64 [n], ascending, at least one; `image` is what `encoded` returned."""
    with reading(path) as file, filled(path, image, "an image"):
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        ends = np.cumsum(sizes)
        groups = np.searchsorted(ends, rows, side="right")
        for wanted in np.split(rows, np.flatnonzero(np.diff(groups)) + 1):
            group = int(np.searchsorted(ends, wanted[0], side="right"))
            start = int(ends[group]) - sizes[group]
            for row, data in _bytes_in(path, file, group, image, wanted - start):
                where = f"row {start + row} of {path}"
                if data is None:
                    only = _path_instead(file, group, image, row)
                    raise SepbenchError(f"{where} holds no image bytes{only}: put the encoded image into the row")
                yield decode(data, where)


def _bytes_in(
    path: Path, file: Any, group: int, image: Column, rows: NDArray[np.int64]
) -> Iterator[tuple[int, bytes | None]]:
    start = 0
    for batch in file.iter_batches(_batch_rows(file.metadata.row_group(group), image), [group], [image.name]):
        stored = image.of(batch)
        first, end = np.searchsorted(rows, (start, start + len(batch)))
        for row in rows[first:end].tolist():
            value = stored[row - start]
            if value.is_valid and is_list(value.type):
                yield row, value.values.to_numpy(zero_copy_only=False).tobytes()
            else:
                yield row, value.as_py()
        start += len(batch)
        if start > rows[-1]:
            return
    raise damaged(path)


def _batch_rows(group: Any, image: Column) -> int:
    leaves = (group.column(position) for position in range(group.num_columns))
    own = (leaf for leaf in leaves if f"{leaf.path_in_schema}.".startswith(f"{image.name}."))
    size = sum(int(leaf.total_uncompressed_size) for leaf in own)
    return min(BATCH_ROWS, max(1, BATCH_BYTES * int(group.num_rows) // max(size, 1)))


def _path_instead(file: Any, group: int, image: Column, row: int) -> str:
    """Say what a row has in place of bytes: the path of a file elsewhere, as before a data set is shared."""
    if image.path[-1] != "bytes":
        return ""
    column = Column((*image.path[:-1], "path"), None)
    table = file.read_row_group(group, [column.name])
    found = table.num_columns and column.of(table)[row].as_py()
    return f", only the path '{found}'" if found else ""


def _is_bytes(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_bytes(kind.value_type)
    if is_list(kind):
        return bool(pa.types.is_uint8(kind.value_type))
    kinds = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)
    return any(test(kind) for test in kinds)
