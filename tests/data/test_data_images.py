"""Images of any kind become RGB of one size; a limit keeps the proportions of the classes."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bench.data.loading import load
from bench.data.spec import DatasetSpec
from bench.data.stratify import stratified_prefix
from tests.making.tiny_data import as_stored, encoded, pets, pixels, spec_of, write_parquet


@pytest.fixture
def parquet(tmp_path: Path) -> dict[str, Any]:
    return pets(tmp_path)


def load_one(stored: bytes, tmp_path: Path, **changes: Any) -> Any:
    path = str(write_parquet(tmp_path / "one.parquet", [stored], [0]))
    same = {"train": path, "test": path, "allow_same_files": True}
    spec = DatasetSpec.parse({"name": "one", "format": "parquet", **same, **changes})
    return as_stored(load(spec).train)[0]


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    grey = pixels(1)[0, ..., 0]
    np.testing.assert_array_equal(load_one(encoded(grey), tmp_path), np.stack([grey] * 3, axis=-1))


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    image = Image.new("P", (2, 2), 1)
    image.putpalette([0, 0, 0, 200, 100, 50])
    image.save(buffer, "PNG")
    assert np.unique(load_one(buffer.getvalue(), tmp_path).reshape(-1, 3), axis=0).tolist() == [[200, 100, 50]]


def test_alpha_is_dropped_without_blending(tmp_path: Path) -> None:
    colour = pixels(1)[0]
    alpha = np.full((4, 4, 1), 10, np.uint8)
    np.testing.assert_array_equal(load_one(encoded(np.concatenate([colour, alpha], -1)), tmp_path), colour)


def test_resize_changes_nothing_where_the_size_is_right(tmp_path: Path) -> None:
    np.testing.assert_array_equal(load_one(encoded(pixels(1)[0]), tmp_path, resize=4), pixels(1)[0])


def test_resize_is_bicubic(tmp_path: Path) -> None:
    expected = Image.fromarray(pixels(1)[0]).resize((7, 7), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(load_one(encoded(pixels(1)[0]), tmp_path, resize=7), np.asarray(expected))


@pytest.mark.parametrize(
    ("shape", "rows", "columns"),
    [((4, 9), slice(0, 4), slice(2, 6)), ((8, 4), slice(2, 6), slice(0, 4)), ((5, 4), slice(0, 4), slice(0, 4))],
)
def test_the_middle_of_an_image_is_cut_out_once_its_shorter_side_fits(
    tmp_path: Path, shape: tuple[int, int], rows: slice, columns: slice
) -> None:
    """Of 9 columns, 4 from the third on: 2.5 on either side, and half goes to the even number, as in torchvision."""
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    np.testing.assert_array_equal(load_one(encoded(image), tmp_path, resize=4), image[rows, columns])


@pytest.mark.parametrize("upright", [False, True])
def test_the_shorter_side_is_resized_before_or_both_are_squeezed(tmp_path: Path, upright: bool) -> None:
    image = np.random.default_rng(0).integers(0, 256, (6, 20, 3), dtype=np.uint8)  # 20 by 6, so 13.3 by 4
    if upright:
        image = image.transpose(1, 0, 2)
    stored = encoded(image)
    shorter = np.asarray(Image.fromarray(image).resize((4, 13) if upright else (13, 4), Image.Resampling.BICUBIC))
    middle = shorter[4:8] if upright else shorter[:, 4:8]  # 9 too many: half of them, and to the even number
    np.testing.assert_array_equal(load_one(stored, tmp_path, resize=4), middle)
    squeezed = np.asarray(Image.fromarray(image).resize((4, 4), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(load_one(stored, tmp_path, resize=4, fit="squeeze"), squeezed)


def test_resize_brings_images_of_any_shape_to_one_square(parquet: dict[str, Any], tmp_path: Path) -> None:
    images = [encoded(np.full((height, 5, 3), 7 * height, np.uint8)) for height in (2, 9, 16)]
    path = write_parquet(tmp_path / "sizes.parquet", images, [0, 1, 2], ["cat", "dog", "frog"])
    train = load(spec_of(parquet, train=str(path), resize=6)).train
    assert train.images.shape == (3, 3, 6, 6)
    assert train.images.amax(dim=(1, 2, 3)).tolist() == [14, 63, 112]
    assert train.images.amin(dim=(1, 2, 3)).tolist() == [14, 63, 112]


labels_and_limit = st.lists(st.integers(0, 6), min_size=1, max_size=80).flatmap(
    lambda labels: st.tuples(st.just(np.array(labels, np.int64)), st.integers(1, len(labels)))
)


@settings(deadline=None)
@given(labels_and_limit)
def test_a_limit_takes_exactly_that_many_in_file_order(case: tuple[np.ndarray, int]) -> None:
    labels, limit = case
    chosen = stratified_prefix(labels, limit)
    assert len(chosen) == limit
    assert (np.diff(chosen) > 0).all()


@settings(deadline=None)
@given(labels_and_limit)
def test_a_limit_takes_the_first_images_of_each_class(case: tuple[np.ndarray, int]) -> None:
    labels, limit = case
    chosen = stratified_prefix(labels, limit)
    for label in set(labels.tolist()):
        taken = chosen[labels[chosen] == label]
        np.testing.assert_array_equal(taken, np.flatnonzero(labels == label)[: len(taken)])


@settings(deadline=None)
@given(labels_and_limit)
def test_a_limit_keeps_proportions_to_less_than_one_image(case: tuple[np.ndarray, int]) -> None:
    labels, limit = case
    counts = np.bincount(labels)
    exact = counts * limit / len(labels)
    taken = np.bincount(labels[stratified_prefix(labels, limit)], minlength=len(counts))
    present = counts > 0
    if limit >= present.sum():
        assert (taken[present] >= 1).all()
    if (exact[present] >= 1).all() or limit < present.sum():
        assert (np.abs(taken - exact) < 1 - 1e-9).all()


def test_the_largest_class_gives_way_to_one_that_would_be_empty() -> None:
    labels = np.array([0] * 97 + [1, 2, 3])
    assert stratified_prefix(labels, 10).tolist() == [0, 1, 2, 3, 4, 5, 6, 97, 98, 99]


def test_training_and_test_images_are_limited_separately(parquet: dict[str, Any]) -> None:
    splits = load(spec_of(parquet, limit=5, test_limit=3))
    assert splits.train.labels.tolist() == [0, 1, 2, 0, 2]
    assert splits.test.labels.tolist() == [2, 0, 1]
    np.testing.assert_array_equal(as_stored(splits.train), pixels(8)[[0, 1, 2, 4, 5]])
