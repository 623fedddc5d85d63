"""Parquet comes out as parquet and npz as npz, with other images and all else as it was."""

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from bench.data.loading import load
from bench.data.originals import open_originals
from tests.making.pictures import changed, claimed, file_of, photo, protect, tree, write_all
from tests.making.tiny_data import complaint, encoded, pixels, write_parquet

LABELS = [0, 1, 2, 1, 0, 2, 2, 0]
NAMES = ["cat", "dog", "frog"]


def shard(path: Path, seed: int = 0) -> Path:
    """Write 8 rows in row groups of 3, with a column of captions, compressed as Zstandard."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_parquet(path, [encoded(image) for image in pixels(8, seed=seed)], LABELS, NAMES)
    table = pq.read_table(path).append_column("caption", pa.array([f"caption {seed} {row}" for row in range(8)]))
    pq.write_table(table, path, row_group_size=3, compression="zstd")
    return path


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """A folder as the Hub serves it: two training shards and a test file."""
    for number in range(2):
        shard(tmp_path / f"hub/data/train-0000{number}-of-00002.parquet", seed=number)
    write_parquet(tmp_path / "hub/data/test-00000-of-00001.parquet", [encoded(pixels(1)[0])], [0], NAMES)
    return tmp_path / "hub"


# Parquet.


def test_rows_stand_in_the_order_in_which_the_data_set_lists_them(hub: Path) -> None:
    originals = open_originals(hub)
    assert originals.format == "parquet"
    assert originals.classes == ("cat", "dog", "frog")
    assert originals.labels.tolist() == LABELS * 2
    assert originals.names[7:9] == ("data/train-00000-of-00002.parquet#7", "data/train-00001-of-00002.parquet#0")
    stored = np.concatenate([pixels(8), pixels(8, seed=1)])
    for index in (0, 3, 2, 15, 7, 8):
        np.testing.assert_array_equal(originals.picture(index).rgb, stored[index])
        assert originals.picture(index).sha256 == hashlib.sha256(encoded(stored[index])).hexdigest()
    splits = load(originals.spec(holdout=0.3))
    assert len(splits.train) + len(splits.test) == 16


def test_files_of_other_splits_are_passed_over_and_that_is_said(hub: Path) -> None:
    assert open_originals(hub).remarks == (
        f"passed over {hub}/data/test-00000-of-00001.parquet, which is not of the training set",
    )


def test_all_but_the_images_stays_as_it_was(hub: Path, tmp_path: Path) -> None:
    protect(open_originals(hub), tmp_path / "out")
    assert [*tree(tmp_path / "out")] == [f"data/train-0000{number}-of-00002.parquet" for number in range(2)]
    for number in range(2):
        name = f"data/train-0000{number}-of-00002.parquet"
        was, is_now = pq.ParquetFile(hub / name), pq.ParquetFile(tmp_path / "out" / name)
        assert is_now.schema_arrow.equals(was.schema_arrow, check_metadata=True)
        assert json.loads(is_now.schema_arrow.metadata[b"huggingface"])["info"]["features"]["label"]["names"] == NAMES
        assert is_now.read().drop(["image"]).equals(was.read().drop(["image"]))
        assert [is_now.metadata.row_group(group).num_rows for group in range(is_now.num_row_groups)] == [3, 3, 2]
        assert is_now.metadata.row_group(0).column(0).compression == "ZSTD"


def test_the_images_are_the_protected_ones(hub: Path, tmp_path: Path) -> None:
    originals = open_originals(hub)
    protect(originals, tmp_path / "out")
    again = open_originals(tmp_path / "out")
    assert again.names == originals.names
    for index in range(16):
        np.testing.assert_array_equal(again.picture(index).rgb, changed(originals.picture(index).rgb))


def test_paths_beside_images_say_what_they_are_now(tmp_path: Path) -> None:
    rows = [
        {"bytes": file_of(photo(4, 4), "JPEG"), "path": "a/one.jpg"},
        {"bytes": encoded(pixels(1)[0]), "path": None},
    ]
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"image": rows, "label": [0, 1]}), path)
    protect(open_originals(path), tmp_path / "out")
    written = pq.read_table(tmp_path / "out/in.parquet").column("image").to_pylist()
    assert [row["path"] for row in written] == ["a/one.png", None]
    assert {Image.open(io.BytesIO(row["bytes"])).format for row in written} == {"PNG"}


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_a_column_of_bytes_called_img_is_read_and_written(tmp_path: Path, kind: pa.DataType) -> None:
    path = tmp_path / "in.parquet"
    data = [encoded(image) for image in pixels(2)]
    pq.write_table(pa.table({"img": pa.array(data, kind), "labels": [0, 1]}), path)
    originals = open_originals(path)
    assert originals.names == ("in.parquet#0", "in.parquet#1")
    protect(originals, tmp_path / "out")
    assert pq.read_schema(tmp_path / "out/in.parquet").field("img").type == kind
    np.testing.assert_array_equal(open_originals(tmp_path / "out/in.parquet").picture(1).rgb, changed(pixels(2)[1]))


def test_images_that_are_stored_as_lists_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    data = [[*encoded(image)] for image in pixels(2)]
    pq.write_table(pa.table({"image": pa.array(data, pa.list_(pa.uint8())), "label": [0, 1]}), path)
    assert "store them as bytes" in complaint(open_originals, path)


def test_a_row_that_is_damaged_is_named(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "in.parquet", [encoded(pixels(1)[0]), b"broken"], [0, 1])
    assert complaint(open_originals(path).survey).startswith(f"row 1 of {path} ")


def test_jpeg_is_written_into_rows_where_it_is_asked_for(hub: Path, tmp_path: Path) -> None:
    protect(open_originals(hub), tmp_path / "out", form="jpeg", quality=80)
    (row, *_) = pq.read_table(tmp_path / "out/data/train-00000-of-00002.parquet").column("image").to_pylist()
    assert row["path"] == "x.jpg"
    assert Image.open(io.BytesIO(row["bytes"])).format == "JPEG"


@pytest.mark.parametrize("count", [1, 7, 8, 12])
def test_a_killed_run_goes_on_with_the_shard_it_was_at(hub: Path, tmp_path: Path, count: int) -> None:
    originals = open_originals(hub)
    protect(originals, tmp_path / "whole")
    writer = claimed(originals, tmp_path / "out")
    for index in range(count):
        picture = originals.picture(index)
        writer.write(index, picture, changed(picture.rgb))
    writer.release()
    again = claimed(originals, tmp_path / "out")
    assert [again.done(index) is not None for index in range(16)] == [count >= 8] * 8 + [False] * 8
    write_all(originals, again)
    again.finish()
    whole = tree(tmp_path / "whole")
    assert [*tree(tmp_path / "out")] == [*whole]
    for name in whole:
        assert pq.read_table(tmp_path / "out" / name).equals(pq.read_table(tmp_path / "whole" / name))


def test_nothing_is_written_among_the_shards(hub: Path) -> None:
    assert "never touched" in complaint(claimed, open_originals(hub), hub / "data/out")


# Arrays.


def archive(path: Path, images: np.ndarray, **more: np.ndarray) -> Path:
    np.savez_compressed(path, images=images, labels=np.array(LABELS[: len(images)]), **more)  # type: ignore[arg-type]
    return path


def test_all_other_arrays_stay_as_they_were(tmp_path: Path) -> None:
    thing = np.array([{"a": 1}], object)
    path = archive(tmp_path / "in.npz", pixels(8), classes=np.array(NAMES), ids=np.arange(8), thing=thing)
    originals = open_originals(path)
    assert originals.format == "npz"
    assert originals.classes == tuple(NAMES)
    assert originals.names[1] == "images[1]"
    protect(originals, tmp_path / "out")
    assert [*tree(tmp_path / "out")] == ["in.npz"]
    with np.load(path, allow_pickle=True) as was, np.load(tmp_path / "out/in.npz", allow_pickle=True) as is_now:
        assert is_now.files == was.files
        np.testing.assert_array_equal(is_now["images"], changed(was["images"]))
        for name in ("labels", "classes", "ids", "thing"):
            np.testing.assert_array_equal(is_now[name], was[name])
            assert is_now[name].dtype == was[name].dtype


@pytest.mark.parametrize("shape", [(8, 5, 4), (8, 5, 4, 1)])
def test_grey_arrays_stay_grey_unless_the_protection_has_colour(tmp_path: Path, shape: tuple[int, ...]) -> None:
    images = pixels(8, side=5)[:, :, :4, 0].reshape(shape)
    originals = open_originals(archive(tmp_path / "in.npz", images))
    protect(originals, tmp_path / "grey")
    with np.load(tmp_path / "grey/in.npz") as written:
        np.testing.assert_array_equal(written["images"], changed(images))
    writer = claimed(originals, tmp_path / "rgb")
    notes = []
    for index in range(8):
        rgb = originals.picture(index).rgb
        protected = rgb.copy()
        protected[..., 0] ^= index == 3
        notes.append(writer.write(index, originals.picture(index), protected).notes)
    assert notes == [("grey became RGB",) if index == 3 else () for index in range(8)]
    with np.load(tmp_path / "rgb/in.npz") as written:
        assert written["images"].shape == (8, 5, 4, 3)
        np.testing.assert_array_equal(written["images"][0], images[0].reshape(5, 4, 1).repeat(3, 2))


def test_arrays_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    originals = open_originals(archive(tmp_path / "in.npz", pixels(8)))
    writer = claimed(originals, tmp_path / "out")
    for index in range(7):
        picture = originals.picture(index)
        writer.write(index, picture, picture.rgb)
    assert [*tree(tmp_path / "out")] == [".sepbench-unfinished.jsonl"]
    writer.release()
    again = claimed(originals, tmp_path / "out")
    assert again.done(0) is None
    write_all(originals, again)
    again.release()
    third = claimed(originals, tmp_path / "out")
    last = third.done(7)
    assert last is not None
    assert last.sha256_out == hashlib.sha256(changed(pixels(8)[7]).tobytes()).hexdigest()


def test_an_archive_of_pixels_is_no_jpeg(tmp_path: Path) -> None:
    originals = open_originals(archive(tmp_path / "in.npz", pixels(8)))
    assert "no JPEG" in complaint(claimed, originals, tmp_path / "out", "jpeg")


def test_labels_with_gaps_are_refused_at_once(tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", images=pixels(2), labels=np.array([0, 2]))
    assert "labels" in complaint(open_originals, tmp_path / "in.npz")
