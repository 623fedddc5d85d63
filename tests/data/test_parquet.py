"""Parquet files as other programs write them: columns, types of images and labels, row groups of any size."""

import base64
import decimal
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bench.data.formats._encoded as encoded_images
from bench.contracts.dataset import DATASETS
from bench.data.images import Splits
from bench.data.loading import load
from bench.data.spec import DatasetSpec
from tests.making.tiny_data import as_stored, complaint, encoded, pixels

STORED = pixels(4)
IMAGES = [encoded(x) for x in STORED]
LABELS = [1, 0, 1, 0]
STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def structs(images: list[Any] = IMAGES) -> Any:
    return pa.array([{"bytes": data, "path": "x.png"} for data in images], STRUCT)


def read(table: Any, folder: Path, test: Any = None, **changes: Any) -> Splits:
    """Load the table as training and, without another one, as test set."""
    pq.write_table(table, folder / "train.parquet")
    pq.write_table(table if test is None else test, folder / "test.parquet")
    paths = {"train": str(folder / "train.parquet"), "test": str(folder / "test.parquet")}
    return load(DatasetSpec.parse({"name": "x", "format": "parquet", **paths, **changes}))


def described(table: Any, features: Any) -> Any:
    return table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def labelled(labels: Any) -> Any:
    return pa.table({"image": structs(), "label": labels})


# Images.


@pytest.mark.parametrize(
    "column",
    [
        structs(),
        pa.array([{"path": "x", "bytes": data} for data in IMAGES]),
        pa.array(IMAGES, pa.large_binary()),
        pa.array(IMAGES, pa.binary_view()),
        pa.array(IMAGES).dictionary_encode(),
        pa.array([[*data] for data in IMAGES], pa.list_(pa.uint8())),
        pa.array([[*data] for data in IMAGES], pa.large_list(pa.uint8())),
        pa.array([{"bytes": [*data]} for data in IMAGES], pa.struct([("bytes", pa.list_(pa.uint8()))])),
        pa.array([data.ljust(200, b"\0") for data in IMAGES], pa.binary(200)),
        pa.array([[*data.ljust(200, b"\0")] for data in IMAGES], pa.list_(pa.uint8(), 200)),
    ],
    ids=lambda column: str(column.type),
)
def test_bytes_of_any_type_are_read(column: Any, tmp_path: Path) -> None:
    splits = read(pa.table({"image": column, "label": LABELS}), tmp_path)
    np.testing.assert_array_equal(as_stored(splits.train), STORED)
    assert splits.train.labels.tolist() == LABELS


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (
            [base64.b64encode(data).decode() for data in IMAGES],
            "is string, such as base64 or paths: it must be the bytes",
        ),
        (STORED.reshape(4, -1).tolist(), "is list<element: int64>: it must be the bytes of an encoded image"),
        ([{"path": "x.png"}] * 4, "is struct<path: string>: it must be the bytes of an encoded image"),
        (structs([*IMAGES[:2], None, IMAGES[3]]), "holds no image bytes, only the path 'x.png': put the encoded image"),
        ([*IMAGES[:2], None, IMAGES[3]], "row 2 of TRAIN holds no image bytes: put the encoded image into the row"),
    ],
)
def test_what_is_no_encoded_image_is_named(column: Any, says: str, tmp_path: Path) -> None:
    message = complaint(read, pa.table({"image": column, "label": LABELS}), tmp_path)
    assert says.replace("TRAIN", str(tmp_path / "train.parquet")) in message


def test_one_row_group_is_read_a_few_images_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As pandas writes it: read whole it takes all memory, and beyond 2 GiB it cannot be read whole at all."""
    heavy = [data + bytes(2**20) for data in IMAGES * 10]
    table = pa.table({"image": structs(heavy), "label": LABELS * 10})
    for part in ("train", "test"):
        pq.write_table(table, tmp_path / part, compression="none", use_dictionary=False, write_batch_size=1)
        assert pq.read_metadata(tmp_path / part).num_row_groups == 1
    del table, heavy
    monkeypatch.setattr(encoded_images, "BATCH_BYTES", 3 * 2**20)
    pool = pa.proxy_memory_pool(pa.default_memory_pool())
    paths = {part: str(tmp_path / part) for part in ("train", "test")}
    spec = DatasetSpec.parse({"name": "x", "format": "parquet", **paths})
    before = pa.default_memory_pool()
    pa.set_memory_pool(pool)
    try:
        splits = load(spec)
        few = load(spec.model_copy(update={"limit": 2, "test_limit": 2}))
    finally:
        pa.set_memory_pool(before)
    np.testing.assert_array_equal(as_stored(splits.train), np.tile(STORED, (10, 1, 1, 1)))
    np.testing.assert_array_equal(as_stored(few.train), STORED[:2])
    assert pool.max_memory() < 16 * 2**20


def test_a_limit_reads_no_further_than_its_last_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_batches = []
    iter_batches = pq.ParquetFile.iter_batches

    def noted(self: Any, *arguments: Any) -> Any:
        for batch in iter_batches(self, *arguments):
            read_batches.append(len(batch))
            yield batch

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", noted)
    monkeypatch.setattr(encoded_images, "BATCH_ROWS", 2)
    table = pa.table({"image": IMAGES * 5, "label": LABELS * 5})
    read(table, tmp_path, limit=5, test_limit=2)
    assert read_batches == [2, 2, 2, 2]


@settings(deadline=None, max_examples=30)
@given(
    sizes=st.lists(st.integers(0, 7), min_size=1, max_size=4),
    group=st.integers(1, 9),
    batch=st.integers(1, 5),
    data=st.data(),
)
def test_any_images_are_found_in_any_files_groups_and_batches(
    sizes: list[int], group: int, batch: int, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    stored = pixels(sum(sizes) + 1)
    ends = np.cumsum(sizes)
    for number, (end, size) in enumerate(zip(ends.tolist(), sizes, strict=True)):
        images = [encoded(x) for x in stored[end - size : end]]
        table = pa.table({"image": structs(images), "label": pa.array([0] * size, pa.int64())})
        pq.write_table(table, folder / f"train-{number}.parquet", row_group_size=group)
    kind = DATASETS.get("parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoded_images, "BATCH_ROWS", batch)
        pattern = f"{folder}/train-*"
        train, _ = kind(kind.Params(train=pattern, test=pattern)).open()  # type: ignore[call-arg]
        assert len(train.labels) == sum(sizes)
        positions = data.draw(st.lists(st.integers(0, sum(sizes) - 1))) if sum(sizes) else []
        found = [np.asarray(image) for image in train.read(np.array(positions, np.int64))]
    np.testing.assert_array_equal(np.array(found).reshape(-1, 4, 4, 3), stored[positions])


# Labels.


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
        (pa.array([[0], [1], None, [1]], pa.list_(pa.int64(), 1)), "of TRAIN has rows without a label: fill or drop"),
        (pa.array([None] * 4), "has 4 rows without a label: fill or drop them"),
        (pa.array([2, 1, 2, 1]), "has label 2 (row 0 of TRAIN) but 2 classes: labels must run from 0 to 1"),
    ],
)
def test_what_is_no_label_is_named(column: Any, says: str, tmp_path: Path) -> None:
    assert says.replace("TRAIN", str(tmp_path / "train.parquet")) in complaint(read, labelled(column), tmp_path)


def test_rows_without_an_image_are_named_where_images_are_lists_of_one_size(tmp_path: Path) -> None:
    images = [list(image.ljust(200, b"\0")) for image in IMAGES]
    kind = pa.list_(pa.uint8(), 200)
    labels = pa.array(LABELS, pa.int64())
    whole, broken = (
        pa.table({"image": pa.array(some, kind), "label": labels}) for some in (images, [*images[:3], None])
    )
    assert len(read(whole, tmp_path).train) == 4
    assert complaint(read, broken, tmp_path, whole) == (
        f"column 'image' of {tmp_path}/train.parquet has rows without an image: fill or drop them"
    )


# Class names.


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


# Columns.


@pytest.mark.parametrize(
    "names",
    [("img", "label"), ("img", "fine_label", "coarse_label"), ("image", "labels"), ("image", "label", "labels")],
)
def test_the_columns_of_the_hub_are_found_by_themselves(names: tuple[str, ...], tmp_path: Path) -> None:
    columns = [structs(), LABELS, [0] * 4]
    table = described(pa.table(dict(zip(names, columns, strict=False))), {names[1]: {"names": ["ant", "bee"]}})
    train = read(table, tmp_path).train
    np.testing.assert_array_equal(as_stored(train), STORED)
    assert train.labels.tolist() == LABELS
    assert train.classes == ("ant", "bee")


def test_columns_that_are_named_are_not_guessed(tmp_path: Path) -> None:
    table = pa.table({"img": structs(), "fine_label": LABELS, "labels": LABELS})
    advice = "has no column 'label': it has img, fine_label, labels; name the right one as dataset.label"
    assert advice in complaint(read, table, tmp_path)
    assert "has no column 'kind'" in complaint(read, table, tmp_path, label="kind")
    assert "has no column 'picture'" in complaint(read, table, tmp_path, image="picture", label="labels")


def test_a_column_that_is_there_twice_is_refused_only_where_it_is_wanted(tmp_path: Path) -> None:
    twice = pa.Table.from_arrays([structs(), pa.array(LABELS), pa.array([0] * 4)], names=["image", "label", "label"])
    assert complaint(read, twice, tmp_path) == (
        f"{tmp_path}/train.parquet has 2 columns called 'label': rename or drop all but one"
    )
    other = pa.Table.from_arrays(
        [structs(), pa.array(LABELS), *[pa.array([0] * 4)] * 2], names=["image", "label", "k", "k"]
    )
    assert read(other, tmp_path).train.labels.tolist() == LABELS


def test_a_dot_is_part_of_a_name_or_leads_into_a_struct(tmp_path: Path) -> None:
    wanted = {"image": "data.image", "label": "data.label"}
    dotted = pa.table({"data.image": structs(), "data.label": LABELS, "data.label.raw": [0] * 4})
    nested = pa.table({"data": pa.StructArray.from_arrays([structs(), pa.array(LABELS)], ["image", "label"])})
    both = dotted.append_column("data", nested["data"])
    for table in (dotted, nested, both):
        train = read(table, tmp_path, **wanted).train
        np.testing.assert_array_equal(as_stored(train), STORED)
        assert train.labels.tolist() == LABELS
    named = described(nested, {"data": {"label": {"names": ["ant", "bee"]}}})
    assert read(named, tmp_path, **wanted).train.classes == ("ant", "bee")


def test_a_file_as_pandas_writes_it_is_read(tmp_path: Path) -> None:
    frame = pd.DataFrame({"image": IMAGES, "label": ["bee", "ant", "bee", "ant"]}, index=list("wxyz"))
    frame.to_parquet(tmp_path / "x.parquet")
    assert read(pq.read_table(tmp_path / "x.parquet"), tmp_path).train.classes == ("ant", "bee")


# What is no Parquet file.


def test_what_stands_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    spec = DatasetSpec.parse({"name": "x", "format": "parquet", "train": str(path), "test": str(path)})
    for content, says in (
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "is a Git LFS pointer, not the data: fetch it with",
        ),
        (b"<!DOCTYPE html><html>", "is an HTML page, perhaps a login or error page saved by the download"),
        (b"", "is empty (0 bytes): replace it"),
        (b"\x1f\x8b\x08", "is a gzip archive: unpack it, and give what was in it"),
    ):
        path.write_bytes(content)
        assert complaint(load, spec).startswith(f"{path} {says}")


def test_data_in_another_format_is_named_with_what_to_set(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": IMAGES, "label": LABELS}), tmp_path / "x.parquet")
    np.savez(tmp_path / "x.npz", images=STORED, labels=LABELS)
    feather.write_feather(pa.table({"label": LABELS}), tmp_path / "x.arrow", compression="uncompressed")
    with pa.ipc.new_stream(tmp_path / "data-00000-of-00001.arrow", pa.schema([("label", pa.int64())])) as stream:
        stream.write_table(pa.table({"label": LABELS}))
    (tmp_path / "batch.pkl").write_bytes(pickle.dumps({"data": STORED}))
    for format_, name, says in (
        ("npz", "x.parquet", "is a Parquet file: set dataset.format to parquet"),
        ("imagefolder", "x.parquet", "is a Parquet file: set dataset.format to parquet"),
        ("parquet", "x.npz", "is a NumPy archive: set dataset.format to npz"),
        ("parquet", "x.arrow", "is an Arrow file: save it as Parquet"),
        ("parquet", "data-00000-of-00001.arrow", "is an Arrow file: save it as Parquet"),
        ("npz", "batch.pkl", "is a Python pickle: save its arrays with numpy.savez"),
    ):
        path = str(tmp_path / name)
        spec = DatasetSpec.parse({"name": "x", "format": format_, "train": path, "test": path})
        assert complaint(load, spec).removeprefix("dataset.train must be a folder, and ").startswith(f"{path} {says}")


def test_a_short_text_in_place_of_data_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("Entry not found\n")
    for format_, kind in (("parquet", "Parquet"), ("npz", "an archive of plain arrays")):
        spec = DatasetSpec.parse({"name": "x", "format": format_, "train": str(path), "test": str(path)})
        assert complaint(load, spec).startswith(f"{path} cannot be read as {kind} (it is text, 'Entry not found'): ")


def test_labels_that_are_not_utf8_are_shown(tmp_path: Path) -> None:
    latin = pa.Array.from_buffers(pa.string(), 4, pa.array([b"\xe9", b"a", b"a", b"a"]).buffers())
    assert complaint(read, labelled(latin), tmp_path) == (
        f"column 'label' of {tmp_path}/train.parquet has text that is not UTF-8 (b'\\xe9'): encode it so"
    )
