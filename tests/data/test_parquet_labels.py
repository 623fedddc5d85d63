"""Labels in Parquet files are whole numbers or names of classes, of any type; the Hub's features may name them."""

import decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.contracts.dataset import DATASETS
from tests.making.parquet_tables import LABELS, READS_MISSING_LISTS, described, read, structs
from tests.making.tiny_data import complaint


def labelled(labels: Any) -> Any:
    return pa.table({"image": structs(), "label": labels})


@pytest.mark.parametrize(
    "column",
    [
        pa.array(LABELS, pa.int8()),
        pa.array(LABELS, pa.uint64()),
        pa.array(LABELS).dictionary_encode(),
        pa.array([1.0, 0.0, 1.0, 0.0]),
        pa.array([1, 0, 1, 0], pa.float32()),
        pa.array([True, False, True, False]),
        pa.array([[1], [0], [1], [0]]),
        pa.array([[1], [0], [1], [0]], pa.large_list(pa.int32())),
        pa.array([[1], [0], [1], [0]], pa.list_(pa.int8(), 1)),
        pa.array([[[1]], [[0]], [[1]], [[0]]]),
        pa.chunked_array([pa.array([[1], [0]]), pa.array([[1], [0]])]),
    ],
    ids=lambda column: str(column.type),
)
def test_whole_numbers_of_any_type_are_labels(column: Any, tmp_path: Path) -> None:
    train = read(labelled(column), tmp_path).train
    assert train.labels.tolist() == LABELS
    assert train.classes == ("0", "1")


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["bee", "ant", "bee", "ant"]),
        pa.array(["bee", "ant", "bee", "ant"], pa.large_string()),
        pa.array(["bee", "ant", "bee", "ant"], pa.string_view()),
        pa.array(["bee", "ant", "bee", "ant"]).dictionary_encode(),
        pa.array([["bee"], ["ant"], ["bee"], ["ant"]]),
        pa.Array.from_pandas(pd.Categorical(["bee", "ant", "bee", "ant"], ["cow", "bee", "ant"])),
    ],
    ids=lambda column: str(column.type),
)
def test_names_of_classes_are_labels_in_their_order(column: Any, tmp_path: Path) -> None:
    train = read(labelled(column), tmp_path).train
    assert train.labels.tolist() == LABELS
    assert train.classes == ("ant", "bee")


def test_names_that_are_numbers_stand_in_the_order_of_numbers(tmp_path: Path) -> None:
    train = read(labelled(["10", "2", "10", "0"]), tmp_path).train
    assert train.classes == ("0", "2", "10")
    assert train.labels.tolist() == [2, 1, 2, 0]


def test_names_in_the_test_set_are_those_of_the_training_set(tmp_path: Path) -> None:
    names = labelled(["ant", "bee", "cow", "ant"])
    pq.write_table(names, tmp_path / "names.parquet")
    pq.write_table(labelled(["cow", "cow", "ant", "cow"]), tmp_path / "few.parquet")
    kind = DATASETS.get("parquet")
    paths = {"train": f"{tmp_path}/names.parquet", "test": f"{tmp_path}/few.parquet"}
    train, few = kind(kind.Params.model_validate(paths)).open()
    assert few is not None
    assert few.classes == train.classes == ("ant", "bee", "cow")
    assert few.labels.tolist() == [2, 2, 0, 2]
    assert complaint(read, names, tmp_path, labelled(["ant", "bee", "dog", "ant"])) == (
        f"row 2 of {tmp_path}/test.parquet has the label 'dog', which is none of the 3 classes (ant, bee, cow): "
        f"correct it, or give the class training images"
    )
    assert complaint(read, names, tmp_path, labelled(LABELS)) == (
        f"labels of the training set are names of classes (row 0 of {tmp_path}/train.parquet), those of the test set "
        f"numbers (row 0 of {tmp_path}/test.parquet): store both in the same way"
    )


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (pa.array([0.0, 1.0, 0.5, 1.0]), "has the label 0.5 (row 2 of TRAIN): labels must be whole numbers, or names"),
        (pa.array([0.0, 1.0, float("nan"), 1.0]), "has the label nan (row 2 of TRAIN)"),
        (pa.array([0, 1, 2**64 - 1, 1], pa.uint64()), "has the label 18446744073709551615 (row 2 of TRAIN)"),
        (pa.array([[0], [1], [0, 1], [1]]), "has 2 labels in row 2 of TRAIN: each image needs one"),
        (pa.array([[0], [1], [], [1]]), "has 1 row without a label: fill or drop it"),
        (pa.array([[0], [1], None, [None]]), "has 1 row without a label: fill or drop it"),
        (pa.array(["a", "b", None, ""]), "has 2 rows without a label: fill or drop them"),
        (pa.array([b"a", b"b", b"a", b"b"]), "is binary: labels must be integers, or names of classes"),
        (pa.array([decimal.Decimal(1)] * 4), "labels must be integers, or names of classes"),
        (
            pa.array([[0], [1], None, [1]], pa.list_(pa.int64(), 1)),
            f"of TRAIN has {'1 row' if READS_MISSING_LISTS else 'rows'} without a label: fill or drop",
        ),
        (pa.array([None] * 4), "has 4 rows without a label: fill or drop them"),
        (pa.array([2, 1, 2, 1]), "has label 2 (row 0 of TRAIN) but 2 classes: labels must run from 0 to 1"),
    ],
)
def test_what_is_no_label_is_named(column: Any, says: str, tmp_path: Path) -> None:
    assert says.replace("TRAIN", str(tmp_path / "train.parquet")) in complaint(read, labelled(column), tmp_path)


def test_labels_that_are_not_utf8_are_shown(tmp_path: Path) -> None:
    latin = pa.Array.from_buffers(pa.string(), 4, pa.array([b"\xe9", b"a", b"a", b"a"]).buffers())
    assert complaint(read, labelled(latin), tmp_path) == (
        f"column 'label' of {tmp_path}/train.parquet has text that is not UTF-8 (b'\\xe9'): encode it so"
    )


@pytest.mark.parametrize(
    ("column", "feature"),
    [
        (LABELS, {"names": ["ant", "bee"]}),
        (LABELS, {"names": ["ant", "bee"], "_type": "ClassLabel"}),
        (LABELS, {"num_classes": 2, "names": ["ant", "bee"], "names_file": None, "id": None, "_type": "ClassLabel"}),
        (LABELS, {"names": {"0": "ant", "1": "bee"}, "_type": "ClassLabel"}),
        (LABELS, {"names": {"1": "bee", "0": "ant"}, "_type": "ClassLabel"}),
        ([[1], [0], [1], [0]], {"feature": {"names": ["ant", "bee"], "_type": "ClassLabel"}, "_type": "List"}),
        ([[1], [0], [1], [0]], [{"names": ["ant", "bee"], "_type": "ClassLabel"}]),
    ],
)
def test_class_names_of_the_hub_are_read_however_they_are_listed(column: Any, feature: Any, tmp_path: Path) -> None:
    assert read(described(labelled(column), {"label": feature}), tmp_path).train.classes == ("ant", "bee")


@pytest.mark.parametrize(
    "features", [{}, {"label": {"_type": "Value"}}, {"label": {"names": None}}, [], None, {"label": 3}]
)
def test_without_class_names_labels_stand_for_them(features: Any, tmp_path: Path) -> None:
    assert read(described(labelled(LABELS), features), tmp_path).train.classes == ("0", "1")


def test_class_names_that_do_not_count_from_0_are_refused(tmp_path: Path) -> None:
    table = described(labelled(LABELS), {"label": {"names": {"1": "ant", "2": "bee"}}})
    assert complaint(read, table, tmp_path) == (
        f"{tmp_path}/train.parquet numbers its class names 1, 2: they must count from 0"
    )
