"""What every defense that changes the training images keeps, and grayscale, JPEG and bit depth against Pillow."""

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from torch import Tensor

from bench.contracts.defense import Defenses
from tests.making.images import every_size
from tests.making.releases import changed, photos
from victims.defenses import _neighbourhoods, bit_depth, grayscale, orthogonal_projection

NAMES = [
    "mean-filter",
    "median-filter",
    "gaussian-blur",
    "grayscale",
    "jpeg",
    "bit-depth",
    "orthogonal-projection",
]


@pytest.mark.parametrize("written", NAMES)
@every_size
@pytest.mark.parametrize("count", [1, 7])
def test_any_size_and_number_of_images_stays_bytes(written: str, size: tuple[int, int], count: int) -> None:
    result = changed(written, photos(count, size))
    assert result.dtype == torch.uint8
    assert result.shape == (count, 3, *size)
    assert result.is_contiguous()


@pytest.mark.parametrize("written", NAMES)
def test_the_release_stays_as_it_was(written: str) -> None:
    images = photos(7)
    result = changed(written, images)
    assert not torch.equal(result, images)
    result.zero_()
    assert torch.equal(images, photos(7))


@pytest.mark.parametrize("written", [name for name in NAMES if name != "orthogonal-projection"])
def test_an_image_does_not_depend_on_the_others_or_on_chance(written: str) -> None:
    images = photos(7)
    result = changed(written, images)
    assert torch.equal(result[2:5], changed(written, images[2:5], seed=1))


@pytest.mark.parametrize("written", NAMES)
def test_batches_do_not_show_in_the_result(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = changed(written, photos(7))
    for module in (bit_depth, grayscale, orthogonal_projection):
        monkeypatch.setattr(module, "_CHUNK", 2)
    monkeypatch.setattr(_neighbourhoods, "_PIXELS_AT_ONCE", 2 * 3 * 16 * 16)
    assert torch.equal(changed(written, photos(7)), at_once)


def test_every_colour_gets_pillows_luma() -> None:
    levels = torch.tensor([0, 1, 2, 50, 85, 127, 128, 200, 254, 255], dtype=torch.uint8)
    colours = torch.cartesian_prod(levels, levels, levels)
    images = colours.T.reshape(1, 3, 40, 25)
    expected = np.asarray(Image.fromarray(images[0].permute(1, 2, 0).contiguous().numpy()).convert("L"))
    result = changed("grayscale", images)[0]
    for channel in result:
        np.testing.assert_array_equal(channel.numpy(), expected)
    exact = (0.299 * images[0, 0].double() + 0.587 * images[0, 1] + 0.114 * images[0, 2]).numpy()
    assert np.abs(exact - expected).max() < 0.51


def compressed(image: Tensor, quality: int) -> tuple[bytes, np.ndarray]:
    file = BytesIO()
    Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()).save(file, format="JPEG", quality=quality)
    return file.getvalue(), np.asarray(Image.open(BytesIO(file.getvalue())))


@every_size
@pytest.mark.parametrize("quality", [10, 50, 90])
def test_jpeg_is_pillows(size: tuple[int, int], quality: int) -> None:
    images = photos(3, size)
    result = changed(f"jpeg-{quality}", images)
    for image, released in zip(result, images, strict=True):
        np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), compressed(released, quality)[1])


def test_jpeg_halves_the_resolution_of_colour() -> None:
    """Columns of two colours of one luma come back as one colour, however good the quality."""
    image = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    image[0, 0, :, ::2] = 150  # 0.299 * 150 is 0.587 * 76.4
    image[0, 1, :, 1::2] = 76
    result = changed("jpeg-95", image)[0].int()
    assert int((result[:, :, ::2] - result[:, :, 1::2]).abs().max()) < 10
    assert int((image[0].int()[:, :, ::2] - image[0].int()[:, :, 1::2]).abs().max()) == 150


def test_jpeg_has_quality_10_by_default_and_less_is_stronger() -> None:
    images = photos(3, (32, 32))
    assert torch.equal(changed("jpeg", images), changed("jpeg-10", images))
    errors = [float((changed(f"jpeg-{q}", images).int() - images.int()).abs().double().mean()) for q in (10, 50, 90)]
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize("written", ["jpeg-0", "jpeg-101", "bit-depth-0", "bit-depth-8"])
def test_a_strength_that_there_is_not_is_refused(written: str) -> None:
    with pytest.raises(ValidationError):
        Defenses.parse(written)


@pytest.mark.parametrize("bits", [1, 2, 3, 7])
def test_every_value_goes_to_the_nearest_of_the_levels_that_are_left(bits: int) -> None:
    values = torch.arange(256, dtype=torch.uint8)
    images = values.reshape(1, 1, 16, 16).expand(1, 3, 16, 16)
    result = changed(f"bit-depth:bits={bits},rounding=nearest", images)[0, 0].flatten().tolist()
    levels = [255 * step / (2**bits - 1) for step in range(2**bits)]
    for value, squeezed in zip(values.tolist(), result, strict=True):
        nearest = min(levels, key=lambda level: abs(level - value))
        assert abs(squeezed - nearest) <= 0.5
    assert len(set(result)) == 2**bits


@pytest.mark.parametrize("bits", [1, 2, 3, 7])
def test_the_highest_bits_of_every_value_are_left(bits: int) -> None:
    images = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).expand(1, 3, 16, 16)
    result = changed(f"bit-depth-{bits}", images)[0, 0].flatten().tolist()
    assert result == [int(f"{value:08b}"[:bits].ljust(8, "0"), 2) for value in range(256)]


@pytest.mark.parametrize(
    ("written", "levels"),
    [
        ("bit-depth", [0, 0, 0, 64, 64, 128, 128, 192]),
        ("bit-depth:rounding=nearest", [0, 0, 85, 85, 85, 170, 170, 255]),
    ],
)
def test_two_bits_leave_four_levels_and_are_the_default(written: str, levels: list[int]) -> None:
    assert str(Defenses.parse("bit-depth")) == "bit-depth-2"
    result = changed(written, torch.tensor([0, 42, 63, 64, 127, 128, 191, 255] * 3).view(1, 3, 2, 4).byte())
    assert result[0, 0].flatten().tolist() == levels
