"""What the numbers of an array are taken for, and how a person overrules it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.core.errors import SepbenchError
from bench.data.releases import bring
from bench.data.releases.meaning import Meaning, meaning_of
from tests.making.brought_sets import clean_npz, noise, pixels, protected
from tests.making.tiny_data import as_stored, complaint

SHAPE = (2, 4, 4, 3)


def between(low: float, high: float, dtype: str) -> np.ndarray:
    values = np.linspace(low, high, 96).reshape(SHAPE)
    return (np.rint(values) if np.dtype(dtype).kind in "iu" else values).astype(dtype)


def meaning(values: np.ndarray, scale: float | None = None) -> Meaning:
    return meaning_of(values, "x.npy", None, scale, lambda entries: None)


@pytest.mark.parametrize(
    ("low", "high", "dtype", "kind", "factor"),
    [
        (0, 255, "uint8", "images", 1),
        (0, 3, "uint8", "images", 1),
        (-8, 8, "int8", "perturbation", 1),
        (0, 8, "int8", "perturbation", 1),
        (-8, 8, "int32", "perturbation", 1),
        (0, 255, "int64", "images", 1),
        (0, 1, "float32", "images", 255),
        (0, 255, "float32", "images", 1),
        (-8 / 255, 8 / 255, "float32", "perturbation", 255),
        (-0.03, 0.03, "float64", "perturbation", 255),
        (-1, 1, "float32", "perturbation", 255),
        (-8, 8, "float32", "perturbation", 1),
        (-1.01, 1, "float32", "perturbation", 1),
        (0, 8 / 255, "float16", "perturbation", 255),
        (0, 16, "float32", "perturbation", 1),
    ],
)
def test_type_and_range_tell_images_from_perturbations_and_the_scale(
    low: float, high: float, dtype: str, kind: str, factor: float
) -> None:
    found = meaning(between(low, high, dtype))
    assert (found.kind, found.factor) == (kind, factor)


def test_the_rule_is_told(tmp_path: Path) -> None:
    np.save(tmp_path / "brought.npy", (noise() / 255).astype(np.float32))
    told = bring(tmp_path / "brought.npy", clean_npz(tmp_path)).release.told
    assert told == (
        "read as 12 perturbations, 8x8x3, from brought.npy",
        "float32 was taken for what was added to the images: floats from -0.03137 to 0.03137: negative, none beyond 1, "
        "so in units of 1",
    )


@pytest.mark.parametrize(
    ("shape", "axes"), [((2, 5, 4, 3), "HWC"), ((2, 3, 5, 4), "CHW"), ((2, 5, 4), "HW"), ((2, 1, 5, 4), "CHW")]
)
def test_axes_are_told_by_the_three_channels(shape: tuple[int, ...], axes: str) -> None:
    values = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    found = meaning(values)
    assert found.axes == axes
    assert found.levels(values[1]).shape == (5, 4, 3)


def test_dark_images_are_images_where_a_person_says_so(tmp_path: Path) -> None:
    dark = pixels() // 8
    released = dark + noise(size=1).clip(0)
    np.save(tmp_path / "brought.npy", released.astype(np.float32))
    clean = clean_npz(tmp_path, dark)
    assert bring(tmp_path / "brought.npy", clean).release.is_perturbation
    found = bring(tmp_path / "brought.npy", clean, "images")
    assert np.array_equal(as_stored(found.training_set(np.arange(12))), released)
    assert found.release.told[1].endswith("as --as says")


def test_a_scale_that_a_person_gives_counts(tmp_path: Path) -> None:
    np.save(tmp_path / "brought.npy", (noise() / 8).astype(np.float32))  # in units of the budget
    found = bring(tmp_path / "brought.npy", clean_npz(tmp_path), scale=8)
    assert np.array_equal(as_stored(found.training_set(np.arange(12))), protected())
    assert "8 levels in a unit as --scale says" in found.release.told[1]


def test_images_have_no_negative_values(tmp_path: Path) -> None:
    np.save(tmp_path / "brought.npy", protected().astype(np.float32) / 127.5 - 1)
    assert "has values down to -" in complaint(bring, tmp_path / "brought.npy", clean_npz(tmp_path), "images")


def test_a_scale_that_leads_beyond_255_levels_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "brought.npy", noise().astype(np.float32))
    sentence = complaint(bring, tmp_path / "brought.npy", clean_npz(tmp_path), scale=255)
    assert "from -8 to 8, which with 255 levels in a unit is beyond 255 levels" in sentence


def lively(count: int = 12) -> np.ndarray:
    """Return images that use the whole range, uint8 [count, 8, 8, 3]."""
    images: np.ndarray = np.random.default_rng(7).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return images


@pytest.mark.parametrize(("white", "told"), [(1, "white at 1"), (255, "white at 255")])
@pytest.mark.parametrize("order", [np.arange(12), np.random.default_rng(5).permutation(12)])
def test_images_that_nobody_clipped_are_images(white: float, told: str, order: np.ndarray, tmp_path: Path) -> None:
    unclipped = lively() + np.random.default_rng(8).integers(-8, 9, (12, 8, 8, 3))
    np.save(tmp_path / "brought.npy", (unclipped[order] / 255 * white).astype(np.float32))
    clean = clean_npz(tmp_path, lively())
    for wanted in (None, "images"):
        found = bring(tmp_path / "brought.npy", clean, wanted)
        assert np.array_equal(as_stored(found.training_set(np.arange(12))), unclipped.clip(0, 255))
        assert found.spent.most()["linf_levels"] == 8
        assert found.spent.clipped == ((unclipped < 0) | (unclipped > 255)).sum() > 0
    assert told in bring(tmp_path / "brought.npy", clean).release.told[1]


@pytest.mark.parametrize(("mean", "std"), [(0.5, 0.5), ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))])
def test_images_that_were_normalised_are_not_taken_for_what_was_added(mean: Any, std: Any, tmp_path: Path) -> None:
    released = (lively().clip(8, 247) + noise()) / 255
    np.save(tmp_path / "brought.npy", ((released - np.array(mean)) / np.array(std)).astype(np.float32))
    sentence = complaint(bring, tmp_path / "brought.npy", clean_npz(tmp_path, lively()))
    assert "the clean images on another scale, as where they were normalised: undo that before you save" in sentence
    assert bring(tmp_path / "brought.npy", clean_npz(tmp_path, lively()), "perturbation").release.is_perturbation


def test_more_contrast_is_something_that_was_added(tmp_path: Path) -> None:
    np.save(tmp_path / "brought.npy", (lively() - 127.5) * 0.05 / 255)
    assert bring(tmp_path / "brought.npy", clean_npz(tmp_path, lively())).release.is_perturbation


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
def test_a_scale_is_a_number_above_0(scale: float) -> None:
    with pytest.raises(SepbenchError, match="must be a number above 0"):
        meaning(between(-1, 1, "float32"), scale)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_numbers_that_are_none_are_refused(wrong: float) -> None:
    values = between(-1, 1, "float32")
    values[1, 2, 3, 0] = wrong
    with pytest.raises(SepbenchError, match="not finite"):
        meaning(values)


def test_encoded_images_have_no_scale(tmp_path: Path) -> None:
    (tmp_path / "brought").mkdir()
    assert "--scale is about arrays" in complaint(bring, tmp_path / "brought", clean_npz(tmp_path), scale=2.0)
