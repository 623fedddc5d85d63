"""Mean, median and Gaussian filters against SciPy's."""

import numpy as np
import pytest
import scipy.ndimage
import torch
from pydantic import ValidationError
from torch import Tensor

from bench.contracts.defense import Defenses
from tests.making.images import every_size
from tests.making.releases import changed, photos

FILTERS = ["mean-filter", "median-filter", "gaussian-blur"]


def rounds_to(exact: np.ndarray, result: Tensor) -> None:
    """Assert that the result is the nearest level; halfway between two, either."""
    assert np.abs(exact - result.numpy()).max() <= 0.5 + 1e-4


@every_size
@pytest.mark.parametrize("side", [3, 5])
def test_the_median_is_scipys(size: tuple[int, int], side: int) -> None:
    images = photos(3, size)
    expected = scipy.ndimage.median_filter(images.numpy(), size=(1, 1, side, side), mode="nearest")
    np.testing.assert_array_equal(changed(f"median-filter-{side}", images).numpy(), expected)


@every_size
@pytest.mark.parametrize("side", [3, 5])
def test_the_mean_is_scipys(size: tuple[int, int], side: int) -> None:
    images = photos(3, size)
    expected = scipy.ndimage.uniform_filter(images.numpy().astype(float), size=(1, 1, side, side), mode="mirror")
    rounds_to(expected, changed(f"mean-filter-{side}", images))


@every_size
@pytest.mark.parametrize(("side", "sigma"), [(3, 0.8), (5, 1.1)])
def test_the_blur_is_scipys_with_the_standard_deviation_of_its_size(
    size: tuple[int, int], side: int, sigma: float
) -> None:
    images = photos(3, size)
    expected = scipy.ndimage.gaussian_filter(
        images.numpy().astype(float), sigma=sigma, axes=(2, 3), radius=side // 2, mode="mirror"
    )
    rounds_to(expected, changed(f"gaussian-blur-{side}", images))


def test_the_median_goes_on_beyond_the_border_with_the_pixels_at_it() -> None:
    """Around a corner the corner counts four times, its neighbours at the border twice, the one within once."""
    image = torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    image[0, :, 0, :2] = 100  # six of nine at the corner; mirrored, three
    assert changed("median-filter", image)[0, 0].tolist() == [[100, 0, 0, 0]] + [[0] * 4] * 3


def test_the_published_blur_changes_no_pixel() -> None:
    images = photos(3, (32, 32))
    assert torch.equal(changed("gaussian-blur:size=3,sigma=0.1", images), images)
    assert not torch.equal(changed("gaussian-blur", images), images)


@pytest.mark.parametrize("sigma", [0.3, 0.8, 2.5])
def test_a_blur_has_the_standard_deviation_that_is_asked_for(sigma: float) -> None:
    images = photos(3, (16, 16))
    expected = scipy.ndimage.gaussian_filter(
        images.numpy().astype(float), sigma=sigma, axes=(2, 3), radius=2, mode="mirror"
    )
    rounds_to(expected, changed(f"gaussian-blur:size=5,sigma={sigma}", images))


def test_a_bright_pixel_is_spread_by_the_mean_and_the_blur_and_lost_to_the_median() -> None:
    image = torch.zeros(1, 3, 5, 5, dtype=torch.uint8)
    image[0, 1, 2, 2] = 90
    mean = changed("mean-filter", image)
    assert mean[0, 1, 1:4, 1:4].tolist() == [[10] * 3] * 3
    assert int(mean.sum()) == 90
    assert int(changed("median-filter", image).sum()) == 0
    edge = np.exp(-1 / (2 * 0.8**2))
    one, many = 1 / (1 + 2 * edge), edge / (1 + 2 * edge)
    expected = np.outer([many, one, many], [many, one, many]) * 90
    assert changed("gaussian-blur", image)[0, 1, 1:4, 1:4].tolist() == expected.round().tolist()


@pytest.mark.parametrize("written", FILTERS)
def test_a_filter_covers_3_by_3_pixels_unless_told_otherwise(written: str) -> None:
    assert str(Defenses.parse(written)) == f"{written}-3"


@pytest.mark.parametrize("written", [f"{name}-{size}" for name in FILTERS for size in (1, 4, 11)])
def test_a_square_without_a_pixel_in_its_middle_is_refused(written: str) -> None:
    with pytest.raises(ValidationError):
        Defenses.parse(written)
