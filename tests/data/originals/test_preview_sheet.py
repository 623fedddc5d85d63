"""A sheet shows pictures before and after, and the change so that it can be seen."""

import io

import numpy as np
import pytest
from PIL import Image

from bench.data.originals.preview_sheet import Shown, sheet, spread
from tests.making.pictures import Pixels, photo


def drawn(*shown: Shown) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(sheet(shown, "sep at linf-8"))).convert("RGB"))


def holds(page: Pixels, part: Pixels) -> bool:
    """Return whether a page has some pixels somewhere, exactly."""
    height, width = part.shape[:2]
    corners = np.argwhere((page[: len(page) - height + 1, : page.shape[1] - width + 1] == part[0, 0]).all(2))
    return any(np.array_equal(page[y : y + height, x : x + width], part) for y, x in corners)


def enlarged(pixels: Pixels, times: int) -> Pixels:
    return pixels.repeat(times, 0).repeat(times, 1)


def test_original_protected_and_difference_stand_on_the_sheet() -> None:
    original = (photo(40, 60) // 2 + 60).astype(np.uint8)
    moves = np.random.default_rng(0).integers(-8, 9, original.shape)
    protected = (original + moves).astype(np.uint8)
    page = drawn(Shown("cat/1.png", original, protected))
    assert holds(page, enlarged(original, 3))
    assert holds(page, enlarged(protected, 3))
    assert holds(page, enlarged((128 + 15 * moves).astype(np.uint8), 3))  # 127 // 8


def test_the_factor_is_the_same_for_all_pictures() -> None:
    flat = np.full((48, 48, 3), 100, np.uint8)
    page = drawn(Shown("a", flat, flat + 1), Shown("b", flat, flat + 20))
    assert holds(page, enlarged(np.full((48, 48, 3), 128 + 6, np.uint8), 4))
    assert holds(page, enlarged(np.full((48, 48, 3), 128 + 6 * 20, np.uint8), 4))


def test_no_change_is_grey() -> None:
    flat = np.full((48, 48, 3), 100, np.uint8)
    assert holds(drawn(Shown("a", flat, flat)), enlarged(np.full((48, 48, 3), 128, np.uint8), 4))


def test_changes_of_a_large_picture_are_not_averaged_away() -> None:
    flat = np.full((600, 800, 3), 100, np.uint8)
    noisy = (flat + np.random.default_rng(0).choice([-8, 8], flat.shape)).astype(np.uint8)
    page = drawn(Shown("a", flat, noisy)).reshape(-1, 3)
    amplified = np.isin(page, (8, 248)).all(1)  # 128 - 15 * 8 and 128 + 15 * 8
    assert amplified.sum() == 192 * 144


@pytest.mark.parametrize(
    ("size", "shown"), [((1, 500), (1, 192)), ((500, 1), (192, 1)), ((1, 1), (192, 192)), ((3000, 40), (192, 3))]
)
def test_every_shape_fits_whole_into_its_cell(size: tuple[int, int], shown: tuple[int, int]) -> None:
    flat = np.full((*size, 3), 100, np.uint8)
    page = drawn(*(Shown("a", flat, flat + 1) for _ in range(4)))
    white = (page == 255).all(2)  # the difference, 128 + 127; nothing else on the sheet is
    assert white.sum() == 4 * shown[0] * shown[1]
    assert holds(page, np.full((*shown, 3), 255, np.uint8))


@pytest.mark.parametrize("name", ["x" * 300, "猫/\udcff.png", ""])
def test_names_of_any_length_and_letters_stay_below_their_pictures(name: str) -> None:
    def ink(name: str) -> np.ndarray:
        page = drawn(*(Shown(name, photo(9, 9), photo(9, 9)) for _ in range(4)))
        other = drawn(*(Shown("a", photo(9, 9), photo(9, 9)) for _ in range(4)))
        assert page.shape == other.shape
        changed: np.ndarray = (page != other).any(2)
        return changed

    changed = ink(name)
    _, columns = np.nonzero(changed)
    group, between = 3 * 192 + 2 * 6, 36
    places = [range(24, 24 + group), range(24 + group + between, 24 + 2 * group + between)]
    assert len(changed[0]) == places[1].stop + 24
    assert set(columns) <= {*places[0], *places[1]}
    assert all(any(column in place for column in columns) for place in places)


@pytest.mark.parametrize(
    ("labels", "count", "chosen"),
    [
        ([0, 0, 0, 1, 1, 2], 3, [0, 3, 5]),
        ([0, 0, 0, 1, 1, 2], 5, [0, 1, 3, 4, 5]),
        ([0, 0, 0, 1, 1, 2], 9, [0, 1, 2, 3, 4, 5]),
        ([2, 1, 0, 0], 2, [0, 1]),
        (list(range(100)), 4, [0, 25, 50, 75]),
    ],
)
def test_pictures_are_of_as_many_classes_as_can_be(labels: list[int], count: int, chosen: list[int]) -> None:
    assert spread(np.array(labels), count) == chosen
