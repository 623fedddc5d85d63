"""Encoded images in Parquet files."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image
from pydantic import BeforeValidator

from bench.api import DATASETS, DatasetPlugin, Field, Params, SepbenchError, Source
from bench.data.formats._classes import Labelled, Names, Stored, own_classes, shared_classes
from bench.data.formats._columns import Column, find, labels_of
from bench.data.formats._encoded import damaged, encoded, filled, images, reading, refuse_many
from bench.data.formats._shards import shards

_OTHER_SPELLINGS = {"image": ("img",), "label": ("fine_label", "labels")}


def _path_or_paths(given: Any) -> Any:
    paths = given if isinstance(given, list) else [given]
    if not all(isinstance(path, str) for path in paths):
        what = "" if given is None else f", not {json.dumps(given, default=str)}"
        raise ValueError(f"must be a path or a list of paths{what}")
    if not paths or "" in paths:
        raise ValueError("must not be empty: give at least one file")
    return given


_Files = Annotated[str | list[str], BeforeValidator(_path_or_paths)]


class ParquetParams(Params):
    """The files of both splits, and what their columns are called."""

    train: _Files = Field(description="a file, a pattern such as data/train-*.parquet, a folder, or a list of these")
    test: _Files | None = Field(None, description="the same for the test set, where there is one")
    image: str = Field("image", description="column of the images; a dot leads into a struct, as in data.image")
    label: str = Field("label", description="column of the labels")


@DATASETS.register("parquet")
class Parquet(DatasetPlugin[ParquetParams]):
    """Training and test files, or only the former, in the Hugging Face layout: encoded images and labels.

    Each split is one file or several, in the order of their names; all shards of a set (`train-00000-of-00002`) have
    to be there. From a folder with files of several splits each takes those that begin with its name, `train` or
    `test`. A folder where other files name no split, or where more lie further down, is refused: a list or a pattern
    tells which are meant.

    Images are bytes, or a struct column with the field `bytes`. Labels are whole numbers from 0, or names of classes,
    which then stand in the order of their names. Class names of numbers come from the schema metadata where it has
    them, else the labels stand for them. Where no other columns are asked for and there is no `image` or no `label`,
    those that the Hub calls `img`, and `fine_label` or `labels`, are taken.
    """

    version = 2  # class names may be listed as a mapping

    def open(self) -> tuple[Source, Source | None]:
        """Return the training and the test split; reads labels only."""
        splits = [self._split(files) for files in self._files()]
        if len(splits) == 1:
            return splits[0].source(own_classes(splits[0].stored)), None
        train, test = splits
        train_labelled, test_labelled = shared_classes(train.stored, test.stored)
        return train.source(train_labelled), test.source(test_labelled)

    def files(self) -> list[Path]:
        """Return the files of the splits."""
        return [path for files in self._files() for path in files]

    def _files(self) -> list[list[Path]]:
        given = {"train": self.params.train, "test": self.params.test}
        return [shards(split, files, ".parquet") for split, files in given.items() if files is not None]

    def _split(self, files: list[Path]) -> "_Split":
        parts = [self._part(path) for path in files]
        first = parts[0]
        named = next((part for part in parts if part.names is not None), first)
        for part in parts:
            if part.labels.dtype != first.labels.dtype:
                raise SepbenchError(
                    f"labels of {part.path} and {first.path} are of two kinds, numbers and names of classes: shards of "
                    f"one set must agree"
                )
            if part.names not in (None, named.names):
                raise SepbenchError(
                    f"{part.path} and {named.path} list different class names: shards of one set must agree"
                )
        return _Split(parts, named.names)

    def _part(self, path: Path) -> "_Part":
        with reading(path) as file:
            schema = file.schema_arrow
            image, label = (self._column(path, schema, field) for field in ("image", "label"))
            data = encoded(image)
            if data is None:
                text = any(test(image.kind) for test in (pa.types.is_string, pa.types.is_large_string))
                raise SepbenchError(
                    f"column '{image.name}' of {path} is {image.kind}{', such as base64 or paths' if text else ''}: it "
                    f"must be the bytes of an encoded image, or a struct with a field 'bytes'"
                )
            names = _class_names(path, schema.metadata, label)
            refuse_many(path, file.metadata)
            with filled(path, label, "a label"):
                stored = label.of(file.read([label.name]))
            groups = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
            if not len(stored) == file.metadata.num_rows == sum(groups):
                raise damaged(path)
            labels = labels_of(stored, f"column '{label.name}' of {path}", lambda row: f"row {row} of {path}")
        return _Part(path, data, labels, names)

    def _column(self, path: Path, schema: Any, field: str) -> Column:
        name = getattr(self.params, field)
        usual = type(self.params).model_fields[field].default
        try:
            found = [find(schema, name)]
            if found == [None] and name == usual:
                found = [column for other in _OTHER_SPELLINGS[field] if (column := find(schema, other))]
        except SepbenchError as error:
            raise SepbenchError(f"{path} {error}") from error
        if len(found) != 1 or found[0] is None:
            raise SepbenchError(
                f"{path} has no column '{name}': it has {', '.join(schema.names) or 'none'}; "
                f"name the right one as dataset.{field}"
            )
        return found[0]


@dataclass(frozen=True, eq=False)
class _Part:
    """One file: the column of the bytes, labels int64 [N] or str as object [N], class names or None."""

    path: Path
    image: Column
    labels: NDArray[Any]
    names: Names | None


class _Split:
    """The files of one split as if they were one."""

    def __init__(self, parts: list[_Part], names: Names | None) -> None:
        self._parts = parts
        self._ends = np.cumsum([len(part.labels) for part in parts])
        self.stored = Stored(np.concatenate([part.labels for part in parts]), names, self._where)

    def source(self, labelled: Labelled) -> Source:
        return Source(
            labels=labelled.labels,
            classes=labelled.classes,
            read=self._read,
            where=self._where,
            paths=tuple(part.path for part in self._parts),
        )

    def _read(self, positions: NDArray[np.int64]) -> Iterator[Image.Image]:
        for ascending in np.split(positions, np.flatnonzero(np.diff(positions) < 0) + 1):
            numbers = self._part_of(ascending)
            for number in np.unique(numbers).tolist():
                part = self._parts[number]
                yield from images(part.path, part.image, ascending[numbers == number] - self._start(number))

    def _where(self, position: int) -> str:
        number = int(self._part_of(np.array(position)))
        return f"row {position - self._start(number)} of {self._parts[number].path}"

    def _part_of(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.minimum(np.searchsorted(self._ends, positions, side="right"), len(self._parts) - 1)

    def _start(self, number: int) -> int:
        return int(self._ends[number]) - len(self._parts[number].labels)


def _class_names(path: Path, metadata: dict[bytes, bytes] | None, label: Column) -> Names | None:
    try:
        feature = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        for name in label.path:
            feature = feature[name]
        # A list of labels is described as [FEATURE], or as {"feature": FEATURE}.
        while isinstance(feature, list) or "feature" in feature:
            feature = feature[0] if isinstance(feature, list) else feature["feature"]
        names = feature["names"]
        if isinstance(names, dict):
            names = {int(number): name for number, name in names.items()}
        else:
            names = dict(enumerate(names))
    except (KeyError, IndexError, TypeError, ValueError, RecursionError):
        return None
    if sorted(names) != list(range(len(names))):
        raise SepbenchError(f"{path} numbers its class names {', '.join(map(str, names))}: they must count from 0")
    return tuple(str(names[number]) for number in range(len(names)))
