"""The operations of TrivialAugment are those of PIL, and one in two images gets one of them."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from scipy.ndimage import affine_transform
from torch import Tensor

from tests.making.images import noise
from victims.defenses._trivial_augment import OPERATIONS, trivial_augment

STRENGTHS = [0.0, 0.2, 0.5, 0.77, 1.0]


def pictures() -> Tensor:
    """Return uint8 images, [6, 3, 32, 40]: noise, a dark one, one of few levels and a flat one among them."""
    x = noise(6, side=40)[:, :, :32].clone()
    x[1] = x[1] // 4 + 30
    x[2] = x[2] // 100 * 100
    x[3, 1] = 77
    x[4] = torch.arange(40, dtype=torch.uint8) * 3
    return x


def applied(name: str, strength: float, x: Tensor | None = None) -> Tensor:
    images = (pictures() if x is None else x).double() / 255
    return OPERATIONS[name](images, torch.full((len(images), 1, 1, 1), strength, dtype=torch.float64))


def by_pil(change: Any) -> Tensor:
    changed = [np.asarray(change(Image.fromarray(one.permute(1, 2, 0).numpy()))) for one in pictures()]
    return torch.from_numpy(np.stack(changed)).permute(0, 3, 1, 2)


def levels(x: Tensor) -> Tensor:
    return (255 * x).round()


def test_equalize_and_posterize_are_those_of_pil_to_the_bit() -> None:
    assert torch.equal(levels(applied("equalize", 0.5)), by_pil(ImageOps.equalize).double())
    for bits, strength in enumerate([0.0, 0.3, 0.6, 1.0], start=1):
        expected = by_pil(lambda image, bits=bits: ImageOps.posterize(image, bits)).double()
        assert torch.equal(levels(applied("posterize", strength)), expected)


def test_an_image_of_few_pixels_is_equalized_as_pil_does() -> None:
    x = noise(3, side=12)
    expected = [np.asarray(ImageOps.equalize(Image.fromarray(one.permute(1, 2, 0).numpy()))) for one in x]
    assert torch.equal(levels(applied("equalize", 0, x)).permute(0, 2, 3, 1), torch.tensor(np.stack(expected)).double())


def test_autocontrast_is_that_of_pil() -> None:
    assert float((levels(applied("autocontrast", 0.5)) - by_pil(ImageOps.autocontrast)).abs().max()) <= 1


@pytest.mark.parametrize("strength", [0.1, 0.5, 0.9])
def test_solarization_is_that_of_pil(strength: float) -> None:
    expected = by_pil(lambda image: ImageOps.solarize(image, math.ceil(255 * strength)))
    assert torch.equal(levels(applied("solarize", strength)), expected.double())


@pytest.mark.parametrize(
    ("name", "enhance"),
    [
        ("contrast", ImageEnhance.Contrast),
        ("brightness", ImageEnhance.Brightness),
        ("sharpness", ImageEnhance.Sharpness),
    ],
)
@pytest.mark.parametrize("strength", STRENGTHS)
def test_blends_are_those_of_pil(name: str, enhance: Any, strength: float) -> None:
    expected = by_pil(lambda image: enhance(image).enhance(0.1 + 1.8 * strength))
    # PIL rounds the image it blends with to whole levels.
    assert float((levels(applied(name, strength)) - expected).abs().max()) <= 2


def matrix(name: str, s: float) -> tuple[list[list[float]], list[float]]:
    """Return the map from places in the result to places read, rows first, about the centre."""
    angle = math.radians(30 * s)
    return {
        "rotate": ([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]], [0.0, 0.0]),
        "shear_x": ([[1.0, 0.0], [0.3 * s, 1.0]], [0.0, 0.0]),
        "shear_y": ([[1.0, 0.3 * s], [0.0, 1.0]], [0.0, 0.0]),
        "translate_x": ([[1.0, 0.0], [0.0, 1.0]], [0.0, 20 * s]),
        "translate_y": ([[1.0, 0.0], [0.0, 1.0]], [16 * s, 0.0]),
    }[name]


@pytest.mark.parametrize("name", ["rotate", "shear_x", "shear_y", "translate_x", "translate_y"])
@pytest.mark.parametrize("strength", STRENGTHS)
def test_moves_are_bilinear_with_black_beyond_the_border(name: str, strength: float) -> None:
    linear, shift = matrix(name, 2 * strength - 1)
    centre = np.array([15.5, 19.5])
    offset = centre - np.array(linear) @ centre + shift
    plane = pictures()[0, 0].double().numpy() / 255
    expected = affine_transform(plane, np.array(linear), offset, order=1, mode="grid-constant", cval=0)
    np.testing.assert_allclose(applied(name, strength)[0, 0].numpy(), expected, atol=1e-9)


def test_half_of_the_images_are_changed_and_by_every_operation() -> None:
    x = (noise(1, side=12).float() / 255 * 0.8 + 0.05).expand(4000, 3, 12, 12)
    augmented = trivial_augment(x, torch.Generator().manual_seed(0))
    changed = (augmented != x).flatten(1).any(1)
    assert abs(float(changed.float().mean()) - 0.5) < 0.04
    plain = {name: OPERATIONS[name](x[:1], torch.zeros(1, 1, 1, 1)) for name in ("autocontrast", "equalize")}
    for expected in plain.values():
        share = float((augmented == expected).flatten(1).all(1).float().mean())
        assert abs(share - 1 / 24) < 0.015
    assert len(OPERATIONS) == 12


def test_images_stay_images_and_the_generator_decides() -> None:
    x = noise(200).float() / 255
    first, again, other = (trivial_augment(x, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.dtype == x.dtype
    assert float(first.amin()) >= 0
    assert float(first.amax()) <= 1
