"""Encoded images in Parquet files."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from bench.api import DATASETS, DatasetPlugin, Params, SepbenchError, Source, decode
from bench.data.formats._classes import shared_classes
from bench.data.formats._paths import existing_file


class ParquetParams(Params):
    """The two files, and what their columns are called."""

    train: str
    test: str
    image: str = "image"
    label: str = "label"


@DATASETS.register("parquet")
class Parquet(DatasetPlugin[ParquetParams]):
    """A training and a test file in the Hugging Face layout: encoded images and integer labels.

    Images are a struct column with the field `bytes`, or a plain binary column. Class names come from the
    schema metadata where it has them, else the labels stand for them.
    """

    def open(self) -> tuple[Source, Source]:
        """Return the training and the test split; reads labels only."""
        train, test = self.files()
        train_labels, train_names = self._labels(train)
        test_labels, test_names = self._labels(test)
        train_names, test_names = shared_classes(train_names, test_names, train_labels)
        return self._source(train, train_labels, train_names), self._source(test, test_labels, test_names)

    def files(self) -> list[Path]:
        """Return the two files."""
        return [existing_file("train", self.params.train), existing_file("test", self.params.test)]

    def _labels(self, path: Path) -> tuple[NDArray[np.int64], tuple[str, ...] | None]:
        column = self.params.label
        with _reading(path) as file:
            self._check_columns(path, file.schema_arrow)
            labels = file.read(columns=[column]).column(0)
            names = _class_names(file.schema_arrow.metadata, column)
        if labels.null_count:
            raise SepbenchError(
                f"column '{column}' of {path} has {labels.null_count} rows without a label: fill or drop them"
            )
        return labels.to_numpy().astype(np.int64), names

    def _check_columns(self, path: Path, schema: Any) -> None:
        for field, column in (("image", self.params.image), ("label", self.params.label)):
            if column not in schema.names:
                raise SepbenchError(
                    f"{path} has no column '{column}': it has {', '.join(schema.names)}; "
                    f"name the right one as dataset.{field}"
                )
        image, label = schema.field(self.params.image).type, schema.field(self.params.label).type
        if not _is_binary(_bytes_field(image) or image):
            raise SepbenchError(
                f"column '{self.params.image}' of {path} is {image}: it must be the bytes of an encoded "
                f"image, or a struct with a field 'bytes'"
            )
        if not pa.types.is_integer(label):
            raise SepbenchError(f"column '{self.params.label}' of {path} is {label}: labels must be integers")

    def _source(self, path: Path, labels: NDArray[np.int64], classes: tuple[str, ...]) -> Source:
        return Source(
            labels=labels,
            classes=classes,
            read=lambda positions: _images(path, self.params.image, positions),
            where=lambda position: f"row {position} of {path}",
        )


def _images(path: Path, column: str, positions: NDArray[np.int64]) -> Iterator[Image.Image]:
    with _reading(path) as file:
        struct = _bytes_field(file.schema_arrow.field(column).type) is not None
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        ends = np.cumsum(sizes)
        groups = np.searchsorted(ends, positions, side="right")
        # One row group in memory at a time, and of a struct only the bytes.
        by_group = groupby(zip(groups.tolist(), positions.tolist(), strict=True), key=itemgetter(0))
        for group, run in by_group:
            rows = [position for _, position in run]
            stored = file.read_row_group(group, columns=[f"{column}.bytes" if struct else column]).column(0)
            wanted = stored.take(pa.array(np.array(rows) - (ends[group] - sizes[group])))
            for row, data in zip(rows, pc.struct_field(wanted, "bytes") if struct else wanted, strict=True):
                where = f"row {row} of {path}"
                if not data.is_valid:
                    raise SepbenchError(f"{where} holds no image bytes: put the encoded image into the row")
                yield decode(data.as_py(), where)


@contextmanager
def _reading(path: Path) -> Iterator[Any]:
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise SepbenchError(f"{path} cannot be read as Parquet ({reason}): replace it") from error


def _is_binary(kind: Any) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _bytes_field(kind: Any) -> Any:
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        return kind.field("bytes").type
    return None


def _class_names(metadata: dict[bytes, bytes] | None, label: str) -> tuple[str, ...] | None:
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(map(str, features[label]["names"]))
    except (KeyError, TypeError, ValueError):
        return None
