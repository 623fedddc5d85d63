"""Pictures in the rows of Parquet files."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bench.core.disk import make_folder, temporary_beside, writing
from bench.core.errors import SepbenchError
from bench.core.paths import file_digest, stands
from bench.data.originals.encoding import ENDINGS, encode
from bench.data.originals.journal import Written
from bench.data.originals.originals import Originals
from bench.data.originals.picture import Picture, picture_of
from bench.data.originals.writer import Output, Writer, keep_apart
from bench.data.spec import DatasetSpec

_IMAGE_COLUMNS = ("image", "img")


@dataclass(frozen=True)
class _Shard:
    """One file: where it lies, its name, the first of its rows among all, the ends of its row groups, its column."""

    path: Path
    name: str
    start: int
    ends: tuple[int, ...]
    column: str

    @property
    def stop(self) -> int:
        """One more than the last of its rows among all."""
        return self.start + self.ends[-1]

    def group_of(self, row: int) -> int:
        return int(np.searchsorted(self.ends, row, side="right"))

    def group_start(self, group: int) -> int:
        return self.ends[group - 1] if group else 0


class ParquetOriginals(Originals):
    """The rows of one Parquet file, or of the shards in a folder, which `parquet` finds."""

    format = "parquet"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._shards: list[_Shard] = []
        root = path.absolute()
        for file in self.source.paths:
            name = file.relative_to(root).as_posix() if root.is_dir() else file.name
            self._shards.append(_shard(file, name, self._shards[-1].stop if self._shards else 0))
        self.names = tuple(f"{shard.name}#{row}" for shard in self._shards for row in range(shard.ends[-1]))
        self._group: tuple[str, int, Any] | None = None

    @property
    def remarks(self) -> tuple[str, ...]:
        """Return which files of other splits are left alone."""
        read = {shard.path for shard in self._shards}
        beside = {path for shard in self._shards for path in shard.path.parent.glob("*.parquet")}
        others = sorted(beside - read) if self.path.is_dir() else []
        if not others:
            return ()
        which = f" and {len(others) - 1:,} more, which are" if len(others) > 1 else ", which is"
        return (f"passed over {others[0]}{which} not of the training set",)

    def spec(self, **fields: Any) -> DatasetSpec:
        """Return the same pictures as a data set with a training part only; `fields` are further ones of the spec."""
        return super().spec(**{"train": str((shards_in(self.path) or self.path).absolute()), **fields})

    def picture(self, index: int) -> Picture:
        """Return a picture, decoded; the images of one row group of the file are kept in memory, encoded."""
        shard = _holding(self._shards, index)
        row = index - shard.start
        group = shard.group_of(row)
        if self._group is None or self._group[:2] != (shard.name, group):
            try:
                with pq.ParquetFile(shard.path) as file:
                    column = file.read_row_group(group, [shard.column]).column(shard.column)
            except (pa.ArrowException, OSError) as error:
                reason = str(error).partition("\n")[0]
                raise SepbenchError(f"{shard.path} cannot be read as Parquet ({reason}): replace it") from error
            self._group = (shard.name, group, column)
        stored = self._group[2][row - shard.group_start(group)].as_py()
        data = stored["bytes"] if isinstance(stored, dict) else stored
        where = self.source.where(index)
        if data is None:
            raise SepbenchError(f"{where} holds no image bytes: put the encoded image into the row")
        return picture_of(data, where)

    def _archives(self) -> Sequence[Path]:
        return [shard.path for shard in self._shards]

    def writer(self, output: Output) -> Writer:
        """Return what writes the same files with other images: all other columns and the metadata stay.

        Images are encoded as the form says, and the path that stands beside one gets its ending.
        """
        keep_apart(output.folder, self.path)
        self.refuse_alpha(output.form)
        return _ShardWriter(self._shards, output)


class _ShardWriter(Writer):
    """Writes a row group when its last picture has come, and gives a file its name when its last row group has."""

    def __init__(self, shards: list[_Shard], output: Output) -> None:
        super().__init__(output)
        self._shards = shards
        self.files = tuple(f"{shard.name}#{row}" for shard in shards for row in range(shard.ends[-1]))
        self._standing: dict[str, bool] = {}
        self._rows: list[bytes] = []
        self._noted: list[Written] = []
        self._sink: Any = None
        self._temporary = output.folder

    def archives(self) -> tuple[Written, ...]:
        """Return the files that are written."""
        return tuple(whole for shard in self._shards if (whole := self.journal.find(shard.name)) is not None)

    def done(self, index: int) -> Written | None:
        """Return what was written of a picture, where its file is whole."""
        shard = _holding(self._shards, index)
        if shard.name not in self._standing:
            whole = self.journal.find(shard.name)
            self._standing[shard.name] = whole is not None and stands(self.out / shard.name, whole.sha256_out)
        return self.journal.find(self.files[index]) if self._standing[shard.name] else None

    def write(self, index: int, picture: Picture, protected: NDArray[np.uint8]) -> Written:
        """Take in the next picture of a file."""
        shard = _holding(self._shards, index)
        row = index - shard.start
        if row != len(self._noted):
            raise AssertionError(f"row {row} of {shard.name} was written where row {len(self._noted)} is next")
        made = encode(picture, protected, self.form, self.quality)
        digest = hashlib.sha256(made.data).hexdigest()
        name = self.files[index]
        written = Written(name, name, picture.sha256, digest, made.notes, self.measure(picture.rgb, made.rgb))
        self._rows.append(made.data)
        self._noted.append(written)
        group = shard.group_of(row)
        if row + 1 == shard.ends[group]:
            with writing(self.out, "--out"):
                self._write_group(shard, group)
                if index + 1 == shard.stop:
                    self._complete(shard)
        return written

    def _write_group(self, shard: _Shard, group: int) -> None:
        with pq.ParquetFile(shard.path) as file:
            table = file.read_row_group(group)
            compression = file.metadata.row_group(group).column(0).compression
        if self._sink is None:
            self._temporary = temporary_beside(self.out / shard.name)
            make_folder(self._temporary.parent)
            self._sink = pq.ParquetWriter(
                self._temporary,
                table.schema,
                compression="NONE" if compression == "UNCOMPRESSED" else compression,
            )
        position = table.schema.get_field_index(shard.column)
        images = _with_bytes(table.column(position).combine_chunks(), self._rows, ENDINGS[self.form])
        self._sink.write_table(table.set_column(position, table.schema.field(position), images), len(self._rows))
        self._rows = []

    def _complete(self, shard: _Shard) -> None:
        self._sink.close()
        path = self.out / shard.name
        self._temporary.replace(path)
        whole = Written(shard.name, shard.name, file_digest(shard.path), file_digest(path), (), {})
        self.journal.add(*self._noted, whole)
        self._sink, self._noted = None, []


def shards_in(folder: Path) -> Path | None:
    """Return where the Parquet files of a folder lie: at its top, or where the Hub keeps them; None without any."""
    for below in (folder, folder / "data", folder / "train"):
        if below.is_dir() and any(path.suffix.lower() == ".parquet" for path in below.iterdir()):
            return below
    return None


def _holding(shards: list[_Shard], index: int) -> _Shard:
    return next(shard for shard in shards if index < shard.stop)


def _shard(path: Path, name: str, start: int) -> _Shard:
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    column = next(one for one in _IMAGE_COLUMNS if one in schema.names)
    kind = schema.field(column).type
    if pa.types.is_struct(kind):
        kind = kind.field("bytes").type
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        raise SepbenchError(
            f"column '{column}' of {path} holds images as {kind}: store them as bytes, so that they can be written back"
        )
    return _Shard(path, name, start, tuple(np.cumsum(sizes).tolist()), column)


def _with_bytes(images: Any, data: list[bytes], ending: str) -> Any:
    """Return a column of images with other bytes; paths beside them get another ending."""
    if not pa.types.is_struct(images.type):
        return pa.array(data, images.type)
    fields = {field.name: images.field(field.name) for field in images.type}
    fields["bytes"] = pa.array(data, fields["bytes"].type)
    if "path" in fields:
        paths = (path and str(PurePosixPath(path).with_suffix(ending)) for path in fields["path"].to_pylist())
        fields["path"] = pa.array(list(paths), fields["path"].type)
    return pa.StructArray.from_arrays(list(fields.values()), fields=list(images.type))
