"""Class names are compared and shown in one form of Unicode, whatever form files write them in."""

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.data.loading import load
from bench.data.spec import DatasetSpec
from tests.making.tiny_data import as_stored, complaint, encoded, pixels, write_parquet

LINUX = ("féroce", "garçon", "zèbre")
MAC = tuple(unicodedata.normalize("NFD", name) for name in LINUX)


def of_npz(folder: Path, part: str, names: Sequence[str]) -> str:
    path = folder / f"{part}.npz"
    np.savez(path, images=pixels(3), labels=[0, 1, 2], classes=list(names))
    return str(path)


def of_listed_names(folder: Path, part: str, names: Sequence[str]) -> str:
    return str(write_parquet(folder / f"{part}.parquet", [encoded(x) for x in pixels(3)], [0, 1, 2], list(names)))


def of_text_labels(folder: Path, part: str, names: Sequence[str]) -> str:
    path = folder / f"{part}.parquet"
    pq.write_table(pa.table({"image": [encoded(x) for x in pixels(3)], "label": list(names)}), path)
    return str(path)


def of_folders(folder: Path, part: str, names: Sequence[str]) -> str:
    for name, array in zip(names, pixels(3), strict=True):
        (folder / part / name).mkdir(parents=True)
        (folder / part / name / "1.png").write_bytes(encoded(array))
    return str(folder / part)


def spec(format_: str, write: Any, folder: Path, train: Sequence[str], test: Sequence[str]) -> DatasetSpec:
    paths = {"train": write(folder, "train", train), "test": write(folder, "test", test)}
    return DatasetSpec.parse({"name": "x", "format": format_, **paths})


@pytest.mark.parametrize(("train", "test"), [(LINUX, MAC), (MAC, LINUX), (MAC, MAC)])
@pytest.mark.parametrize(
    ("format_", "write"),
    [("npz", of_npz), ("parquet", of_listed_names), ("parquet", of_text_labels), ("imagefolder", of_folders)],
)
def test_classes_of_a_mac_and_of_linux_are_the_same(
    format_: str, write: Any, train: Sequence[str], test: Sequence[str], tmp_path: Path
) -> None:
    splits = load(spec(format_, write, tmp_path, train, test))
    assert splits.train.classes == splits.test.classes == LINUX
    assert splits.train.labels.tolist() == splits.test.labels.tolist() == [0, 1, 2]


def test_folders_of_a_mac_stand_in_the_order_of_composed_names(tmp_path: Path) -> None:
    """Apart, é comes before f; composed, after it."""
    names = ("f", "zu", "é")
    splits = load(
        spec("imagefolder", of_folders, tmp_path, [unicodedata.normalize("NFD", name) for name in names], names)
    )
    assert splits.train.classes == splits.test.classes == names
    np.testing.assert_array_equal(as_stored(splits.train), pixels(3))


@pytest.mark.parametrize(("format_", "write"), [("npz", of_npz), ("imagefolder", of_folders)])
def test_two_classes_that_differ_in_their_form_alone_are_refused(format_: str, write: Any, tmp_path: Path) -> None:
    both = (MAC[0], LINUX[0], "x")
    message = complaint(load, spec(format_, write, tmp_path, both, LINUX))
    assert message.startswith("the training set of 'x' has two classes called 'f")
    assert "('fe\\u0301roce' and 'f\\xe9roce')" in message


def test_text_labels_that_differ_in_their_form_alone_are_one_class(tmp_path: Path) -> None:
    splits = load(spec("parquet", of_text_labels, tmp_path, ("x", MAC[0], LINUX[0]), ("x", "x", MAC[0])))
    assert splits.train.classes == (LINUX[0], "x")
    assert splits.train.labels.tolist() == [1, 0, 0]
    assert splits.test.labels.tolist() == [1, 1, 0]
