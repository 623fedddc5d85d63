"""Crop and flip against slicing one image at a time, resized windows against Pillow."""

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from bench.contracts.augment import Augmentation, Draws, augment, draw
from tests.making.images import noise


def one_by_one(images: Tensor, draws: Draws, padding: int) -> Tensor:
    """Pad with zeros, cut out, mirror."""
    height, width = images.shape[-2:]
    results = []
    for n, image in enumerate(images):
        top, left = int(draws.top[n]), int(draws.left[n])
        crop = F.pad(image, (padding, padding, padding, padding), value=0)[:, top : top + height, left : left + width]
        results.append(torch.flip(crop, dims=(2,)) if draws.flip[n] else crop)
    return torch.stack(results)


def every_draw(padding: int) -> Draws:
    places = range(2 * padding + 1)
    top, left, flip = zip(*itertools.product(places, places, (False, True)), strict=True)
    return Draws(torch.tensor(top), torch.tensor(left), torch.tensor(flip))


@pytest.mark.parametrize("padding", [0, 1, 4])
@pytest.mark.parametrize("size", [(8, 8), (5, 9)])
def test_every_draw_gives_what_slicing_gives(padding: int, size: tuple[int, int]) -> None:
    draws = every_draw(padding)
    images = noise(len(draws.top), side=9)[:, :, : size[0], : size[1]]
    augmented = augment(images, draws, padding)
    assert augmented.shape == images.shape
    assert torch.equal(augmented, one_by_one(images, draws, padding))


def test_bytes_stay_bytes_and_floats_stay_floats() -> None:
    images, draws = noise(18), every_draw(1)
    assert augment(images, draws, 1).dtype == torch.uint8
    assert augment(images.double(), draws, 1).dtype == torch.float64


def test_the_images_are_not_overwritten() -> None:
    images = noise(18)
    augment(images, every_draw(1), 1).zero_()
    assert torch.equal(images, noise(18))


def test_a_recipe_without_augmentation_leaves_every_image_in_place() -> None:
    images = noise(50)
    draws = draw(50, Augmentation(), torch.Generator().manual_seed(0), (8, 8))
    assert torch.equal(augment(images, draws, 0), images)


def test_draws_cover_every_place_alike_and_mirror_half() -> None:
    draws = draw(81_000, Augmentation(crop_padding=4, flip=True), torch.Generator().manual_seed(0), (8, 8))
    places = Counter(zip(draws.top.tolist(), draws.left.tolist(), strict=True))
    assert set(places) == set(itertools.product(range(9), range(9)))
    # About 1,000 each, with a standard deviation of 31.4.
    assert min(places.values()) > 850
    assert max(places.values()) < 1150
    assert float(draws.flip.double().mean()) == pytest.approx(0.5, abs=0.01)
    for corner in (draws.top, draws.left):
        mirrored = corner[draws.flip].double().mean()
        assert float(mirrored) == pytest.approx(4, abs=0.06), "flips and places are drawn independently"


def test_without_flip_nothing_is_mirrored_and_the_crops_stay_the_same() -> None:
    with_flip, without = (
        draw(100, Augmentation(crop_padding=4, flip=flip), torch.Generator().manual_seed(0), (8, 8))
        for flip in (True, False)
    )
    assert not bool(without.flip.any())
    assert torch.equal(with_flip.top, without.top)
    assert torch.equal(with_flip.left, without.left)


def test_a_part_of_the_draws_augments_a_part_of_the_images() -> None:
    images, draws = noise(18), every_draw(1)
    part = slice(5, 11)
    assert torch.equal(augment(images[part], draws[part], 1), augment(images, draws, 1)[part])


def resized(images: Tensor, smallest: float, flip: bool = False, seed: int = 0) -> tuple[Tensor, Draws]:
    augmentation = Augmentation(resized_crop=smallest, flip=flip)
    draws = draw(len(images), augmentation, torch.Generator().manual_seed(seed), images.shape[-2:])
    return augment(images, draws, 0), draws


@pytest.mark.parametrize("size", [(32, 32), (16, 32), (32, 20)])
def test_a_resized_crop_is_what_pillow_cuts_out_and_resizes(size: tuple[int, int]) -> None:
    images = noise(40, side=32)[:, :, : size[0], : size[1]]
    augmented, draws = resized(images, 0.08, flip=True)
    assert draws.height is not None
    assert draws.width is not None
    for n, image in enumerate(images):
        top, left, height, width = (int(part[n]) for part in (draws.top, draws.left, draws.height, draws.width))
        window = Image.fromarray(image[:, top : top + height, left : left + width].permute(1, 2, 0).numpy())
        expected = np.asarray(window.resize((size[1], size[0]), Image.Resampling.BILINEAR), dtype=np.float32)
        expected = expected[:, ::-1] if draws.flip[n] else expected
        ours = augmented[n].permute(1, 2, 0).numpy()
        np.testing.assert_allclose(ours, expected, atol=1.01)  # Pillow rounds, once for each direction


def test_windows_stay_in_the_image_and_have_the_areas_and_aspect_ratios_that_are_asked_for() -> None:
    images = torch.zeros(20_000, 1, 64, 64, dtype=torch.uint8)
    draws = draw(len(images), Augmentation(resized_crop=0.25), torch.Generator().manual_seed(0), (64, 64))
    assert draws.height is not None
    assert draws.width is not None
    height, width = draws.height.double(), draws.width.double()
    assert bool(((draws.top >= 0) & (draws.top + draws.height <= 64)).all())
    assert bool(((draws.left >= 0) & (draws.left + draws.width <= 64)).all())
    share, aspect = height * width / 64**2, width / height
    rounding = 1.05
    assert float(share.min()) > 0.25 / rounding
    assert float(aspect.min()) > 0.75 / rounding
    assert float(aspect.max()) < 4 / 3 * rounding
    # Large windows of a long shape do not fit and are drawn again: below them area and log aspect are uniform.
    small = share[share < 0.7]
    assert float(small.mean()) == pytest.approx((0.25 + 0.7) / 2, abs=0.01)
    assert float(aspect.log().mean()) == pytest.approx(0, abs=0.01)
    for corner, free in ((draws.top, 64 - height), (draws.left, 64 - width)):
        assert float((corner / free.clamp_min(1))[free > 8].mean()) == pytest.approx(0.5, abs=0.01)


def test_an_image_too_long_for_any_window_gives_the_largest_one_in_its_middle() -> None:
    draws = draw(5, Augmentation(resized_crop=1.0), torch.Generator().manual_seed(0), (30, 90))
    for part, expected in ((draws.height, 30), (draws.width, 40), (draws.top, 0), (draws.left, 25)):
        assert part is not None
        assert part.tolist() == [expected] * 5


def test_resized_crops_of_double_precision_stay_that() -> None:
    images = noise(6, 12).double()
    draws = draw(6, Augmentation(resized_crop=0.08), torch.Generator().manual_seed(0), (12, 12))
    augmented = augment(images, draws, 0)
    assert augmented.dtype == torch.float64
    torch.testing.assert_close(augmented.float(), augment(images.float(), draws, 0), rtol=0, atol=1e-3)


def test_a_resized_crop_of_the_whole_image_leaves_it_alone() -> None:
    images = noise(4, side=16)
    corner = torch.zeros(4, dtype=torch.int64)
    whole = Draws(corner, corner, torch.zeros(4, dtype=torch.bool))
    whole = replace(whole, height=torch.full((4,), 16), width=torch.full((4,), 16))
    torch.testing.assert_close(augment(images, whole, 0), images.float(), atol=1e-3, rtol=0)


def test_a_part_of_the_windows_augments_a_part_of_the_images() -> None:
    images = noise(12, side=16)
    augmented, draws = resized(images, 0.08, flip=True)
    part = torch.tensor([3, 1, 8])
    assert torch.equal(augment(images[part], draws[part], 0), augmented[part])


def test_both_ways_to_crop_at_once_are_refused() -> None:
    with pytest.raises(ValueError, match="crop_padding and resized_crop are two ways to crop: set crop_padding to 0"):
        Augmentation(crop_padding=4, resized_crop=0.08)
