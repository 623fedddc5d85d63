"""Images in Parquet files as other programs write them: bytes of any type, in row groups of any size."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bench.data.formats._encoded as encoded_images
from bench.contracts.dataset import DATASETS
from bench.data.loading import load
from bench.data.spec import DatasetSpec
from tests.making.parquet_tables import IMAGES, LABELS, READS_MISSING_LISTS, STORED, read, structs
from tests.making.tiny_data import as_stored, complaint, encoded, pixels


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


def test_rows_without_an_image_are_named_where_images_are_lists_of_one_size(tmp_path: Path) -> None:
    images = [list(image.ljust(200, b"\0")) for image in IMAGES]
    kind = pa.list_(pa.uint8(), 200)
    labels = pa.array(LABELS, pa.int64())
    whole, broken = (
        pa.table({"image": pa.array(some, kind), "label": labels}) for some in (images, [*images[:3], None])
    )
    assert len(read(whole, tmp_path).train) == 4
    assert complaint(read, broken, tmp_path, whole) == (
        f"row 3 of {tmp_path}/train.parquet holds no image bytes: put the encoded image into the row"
        if READS_MISSING_LISTS
        else f"column 'image' of {tmp_path}/train.parquet has rows without an image: fill or drop them"
    )


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
