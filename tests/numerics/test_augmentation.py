"""Crop and flip against slicing one image at a time."""

import itertools
from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from small_networks import noise
from torch import Tensor

from bench.augment import Draws, augment, draw
from bench.recipe import Augmentation


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
    draws = draw(50, Augmentation(), torch.Generator().manual_seed(0))
    assert torch.equal(augment(images, draws, 0), images)


def test_draws_cover_every_place_alike_and_mirror_half() -> None:
    draws = draw(81_000, Augmentation(crop_padding=4, flip=True), torch.Generator().manual_seed(0))
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
        draw(100, Augmentation(crop_padding=4, flip=flip), torch.Generator().manual_seed(0)) for flip in (True, False)
    )
    assert not bool(without.flip.any())
    assert torch.equal(with_flip.top, without.top)
    assert torch.equal(with_flip.left, without.left)


def test_a_part_of_the_draws_augments_a_part_of_the_images() -> None:
    images, draws = noise(18), every_draw(1)
    part = slice(5, 11)
    assert torch.equal(augment(images[part], draws[part], 1), augment(images, draws, 1)[part])
