"""Pictures are seen as viewers show them: turned as their EXIF orientation says."""

import io
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, features

from bench.contracts.dataset import Source
from bench.data.decoding import decode, stack
from bench.data.loading import card, load
from bench.data.spec import DatasetSpec
from tests.making.tiny_data import as_stored

ORIENTATION, DESCRIPTION = 0x0112, 0x010E
UPRIGHT = np.zeros((16, 16, 3), np.uint8)
UPRIGHT[:8, :8] = 200
UPRIGHT[:8, 8:] = 100

STORED = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.swapaxes(0, 1),
    6: np.rot90(UPRIGHT),
    7: np.rot90(UPRIGHT, 2).swapaxes(0, 1),
    8: np.rot90(UPRIGHT, 3),
}
"""By orientation, what a camera stores so that `UPRIGHT` is seen: rows and columns as the EXIF standard has it."""


def photo(image: NDArray[np.uint8], orientation: int | None, kind: str = "PNG") -> bytes:
    exif = Image.Exif()
    exif[DESCRIPTION] = "a photo"
    if orientation is not None:
        exif[ORIENTATION] = orientation
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, kind, exif=exif, quality=100, lossless=True)
    return buffer.getvalue()


def seen(data: bytes) -> tuple[NDArray[np.uint8], bool]:
    """Return the image as it is loaded, [H, W, 3], and whether its EXIF data was readable."""

    def read(positions: NDArray[np.int64]) -> Iterator[Image.Image]:
        return (decode(data, "it") for _ in positions)

    source = Source(np.zeros(1, np.int64), ("a",), read)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images, unclear = stack(source, np.zeros(1, np.int64), None)
    return images[0].transpose(1, 2, 0), not len(unclear)


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "MPO", "WEBP", "TIFF", "AVIF"])
def test_every_orientation_is_turned_upright(kind: str, orientation: int) -> None:
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow was built without AVIF")
    image, readable = seen(photo(STORED[orientation], orientation, kind))
    assert np.abs(image.astype(int) - UPRIGHT).max() <= (8 if kind in ("JPEG", "MPO", "AVIF") else 0)
    assert readable


@pytest.mark.parametrize("orientation", [None, 0, 9, 65535])
def test_no_orientation_and_one_that_there_is_not_turn_nothing(orientation: int | None) -> None:
    image, readable = seen(photo(STORED[6], orientation))
    np.testing.assert_array_equal(image, STORED[6])
    assert readable


def test_a_picture_that_lies_on_its_side_changes_its_width_for_its_height() -> None:
    wide = np.repeat(UPRIGHT, 2, axis=1)
    image, _ = seen(photo(np.rot90(wide), 6))
    np.testing.assert_array_equal(image, wide)


def test_folders_and_parquet_show_a_photo_alike(tmp_path: Path) -> None:
    lying, upright = photo(STORED[6], 6), photo(UPRIGHT[::-1], None)
    for split, data in (("train", lying), ("test", upright)):
        (tmp_path / split / "a").mkdir(parents=True)
        (tmp_path / split / "a" / "0.png").write_bytes(data)
        pq.write_table(pa.table({"image": [{"bytes": data}], "label": [0]}), tmp_path / f"{split}.parquet")
    folders = {"format": "imagefolder", "train": f"{tmp_path}/train", "test": f"{tmp_path}/test"}
    files = {"format": "parquet", "train": f"{tmp_path}/train.parquet", "test": f"{tmp_path}/test.parquet"}
    for paths in (folders, files):
        train = load(DatasetSpec.parse({"name": "x", **paths})).train
        np.testing.assert_array_equal(as_stored(train)[0], UPRIGHT)


def test_an_image_without_exif_keeps_its_bytes() -> None:
    buffer = io.BytesIO()
    Image.fromarray(UPRIGHT).save(buffer, "PNG")
    np.testing.assert_array_equal(seen(buffer.getvalue())[0], UPRIGHT)


def broken(data: bytes, damage: bytes, at: int = 6) -> bytes:
    """Overwrite the EXIF block of a JPEG, `at` bytes behind its start."""
    start = data.index(b"Exif\0\0") + at
    return data[:start] + damage + data[start + len(damage) :]


@pytest.mark.parametrize(
    "data",
    [
        broken(photo(STORED[6], 6, "JPEG"), b"\xff" * 20),
        broken(photo(STORED[6], 6, "JPEG"), struct.pack(">I", 0x0FFFFFFF), at=10),
    ],
    ids=["no header", "an offset beyond the end"],
)
def test_an_image_whose_exif_cannot_be_read_is_taken_as_stored_and_reported(data: bytes) -> None:
    image, readable = seen(data)
    assert np.abs(image.astype(int) - STORED[6]).max() <= 8
    assert not readable


def test_an_orientation_that_can_be_read_in_a_broken_block_counts() -> None:
    data = photo(STORED[6], 6, "JPEG")
    image, readable = seen(broken(data, b"\xff\xff", at=14))  # more entries than the block has
    assert np.abs(image.astype(int) - UPRIGHT).max() <= 8
    assert readable


@settings(deadline=None, max_examples=60)
@given(at=st.integers(6, 40), damage=st.binary(min_size=1, max_size=12))
def test_whatever_is_wrong_with_exif_an_image_is_read(at: int, damage: bytes) -> None:
    image, _ = seen(broken(photo(STORED[6], 6, "JPEG"), damage, at=at))
    assert image.shape == UPRIGHT.shape


def test_what_could_not_be_turned_is_said_by_the_card_and_remembered(tmp_path: Path) -> None:
    data = broken(photo(STORED[6], 6, "JPEG"), b"\xff" * 20)
    for split, names in (("train", ("0.jpg", "1.jpg")), ("test", ("0.jpg",))):
        (tmp_path / split / "a").mkdir(parents=True)
        for name in names:
            (tmp_path / split / "a" / name).write_bytes(data)
    paths = {"train": f"{tmp_path}/train", "test": f"{tmp_path}/test"}
    spec = DatasetSpec.parse({"name": "x", "format": "imagefolder", **paths})
    for _ in range(2):
        assert card(spec, tmp_path / "cards").remarks == (
            f"EXIF data that cannot be read may hold an orientation: {tmp_path}/train/a/0.jpg and 2 more taken as "
            f"stored",
        )
