"""COIN against interpolation pixel by pixel and SciPy's, and its displacements against their distribution."""

from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
import torch

from tests.making.batches import changed, looks_alike, photos
from tests.making.images import seeded
from victims.defenses.coin import displaced


def bilinear(image: np.ndarray, down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Interpolate one image, [3, H, W], pixel by pixel, with its opposite side beyond each border."""
    _, height, width = image.shape
    result = np.zeros_like(image)
    for r in range(height):
        for c in range(width):
            y, x = r + down[r, c], c + right[r, c]
            for near_y in (int(np.floor(y)), int(np.floor(y)) + 1):
                for near_x in (int(np.floor(x)), int(np.floor(x)) + 1):
                    weight = (1 - abs(y - near_y)) * (1 - abs(x - near_x))
                    result[:, r, c] += weight * image[:, near_y % height, near_x % width]
    return result


def by_scipy(image: np.ndarray, down: np.ndarray, right: np.ndarray) -> np.ndarray:
    rows, columns = np.indices(image.shape[1:])
    places = [rows + down, columns + right]
    return np.stack([scipy.ndimage.map_coordinates(one, places, order=1, mode="grid-wrap") for one in image])


@pytest.mark.parametrize("reference", [bilinear, by_scipy])
@pytest.mark.parametrize("size", [(16, 16), (9, 14)], ids=str)
def test_displaced_pixels_are_interpolated_and_wrapped(
    reference: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray], size: tuple[int, int]
) -> None:
    x = photos(3, size).double()
    down, right = 6 * torch.rand(2, 3, *size, generator=seeded(), dtype=torch.float64) - 3
    expected = np.stack([reference(*one) for one in zip(x.numpy(), down.numpy(), right.numpy(), strict=True)])
    np.testing.assert_allclose(displaced(x, down, right).numpy(), expected, atol=1e-12)


def test_whole_steps_roll_the_image_and_none_leaves_it() -> None:
    x = photos(2)
    still = torch.zeros(2, 16, 16)
    assert torch.equal(displaced(x, still, still), x)
    assert torch.equal(displaced(x, still + 1, still - 2), x.roll((-1, 2), dims=(2, 3)))


@pytest.mark.parametrize(("written", "reach"), [("coin", 2.0), ("coin:alpha=0.5", 0.5)])
def test_displacements_are_uniform_independent_and_the_same_in_all_channels(written: str, reach: float) -> None:
    """Ramps show how far a pixel moved: one channel down, two to the right."""
    size = 32
    ramp = torch.arange(size) / (size - 1)
    down, right = ramp[:, None].expand(size, size), ramp.expand(size, size)
    x = torch.stack([down, right, right]).expand(20, 3, size, size)
    inner = slice(3, size - 3)  # beyond the border a ramp starts again
    moved = ((changed(written, x) - x) * (size - 1))[:, :, inner, inner].numpy()
    np.testing.assert_allclose(moved[:, 1], moved[:, 2], atol=1e-4)
    for axis in (0, 1):
        assert looks_alike(moved[:, axis].ravel(), scipy.stats.uniform(-reach, 2 * reach).cdf)
    draws = moved[:, :2].reshape(40, -1)  # each image, each axis
    assert np.abs(np.corrcoef(draws) - np.eye(40)).max() < 0.2
    assert abs(np.corrcoef(moved[:, 0, :, 1:].ravel(), moved[:, 0, :, :-1].ravel())[0, 1]) < 0.05
