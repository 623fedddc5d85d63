"""Victims that have only part of a release, or clean images besides."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from bench.contracts.defense import Defenses
from bench.core.errors import SepbenchError
from bench.data.images import ImageSet, Splits
from bench.data.loading import card, load
from bench.data.spec import DatasetSpec
from bench.engine.recipe import Recipe
from bench.plan.mixture import protected_of_victim, seen_by_victim
from bench.plan.stage import VictimJob

DIGITS = DatasetSpec.parse({"name": "digits", "limit": 200, "test_limit": 100})
CLEAN = torch.zeros(50, 3, 4, 4, dtype=torch.uint8)
RELEASED = torch.full_like(CLEAN, 7)
EXTRA = ImageSet(torch.full((9, 3, 4, 4), 3, dtype=torch.uint8), torch.full((9,), 2), ("a", "b", "c"))
SPLITS = Splits(train := ImageSet(CLEAN, torch.arange(50) % 3, ("a", "b", "c")), train, {9: EXTRA})


def victim(fraction: float = 1.0, clean_images: int = 0, seed: int = 0) -> VictimJob:
    recipe = Recipe.model_validate("digits")
    return VictimJob("resnet8", recipe, Defenses.parse("plain"), seed, "a" * 64, fraction, clean_images)


def protected(fraction: float, seed: int = 0) -> Tensor:
    """Tell which images a victim has protected, bool [50]."""
    seen = seen_by_victim(victim(fraction, seed=seed), SPLITS, RELEASED).images
    assert set(seen.unique().tolist()) <= {0, 7}
    return seen.amax((1, 2, 3)) == 7


@pytest.mark.parametrize(("fraction", "count"), [(0.02, 1), (0.2, 10), (0.5, 25), (0.98, 49), (1.0, 50)])
def test_a_fraction_of_the_images_is_protected_and_the_others_are_clean(fraction: float, count: int) -> None:
    assert int(protected(fraction).sum()) == count


def test_a_smaller_fraction_is_part_of_a_larger_one() -> None:
    small, large = protected(0.3), protected(0.6)
    assert bool((small <= large).all())


@pytest.mark.parametrize(("fraction", "clean_images"), [(1.0, 0), (0.5, 0), (0.3, 9), (1.0, 9)])
def test_which_images_are_protected_is_told(fraction: float, clean_images: int) -> None:
    job = victim(fraction, clean_images)
    released = seen_by_victim(job, SPLITS, RELEASED).images.amax((1, 2, 3)) == 7
    assert torch.equal(protected_of_victim(job, SPLITS), released)


def test_the_seed_decides_which_images_are_protected() -> None:
    assert torch.equal(protected(0.5, seed=1), protected(0.5, seed=1))
    assert not torch.equal(protected(0.5, seed=1), protected(0.5, seed=2))


def test_the_release_and_the_clean_images_stay_as_they_are() -> None:
    seen_by_victim(victim(0.5), SPLITS, RELEASED).images.fill_(9)
    assert bool((RELEASED == 7).all())
    assert bool((CLEAN == 0).all())


def test_further_clean_images_follow_with_their_labels() -> None:
    seen = seen_by_victim(victim(clean_images=9), SPLITS, RELEASED)
    assert torch.equal(seen.images, torch.cat([RELEASED, EXTRA.images]))
    assert torch.equal(seen.labels, torch.cat([SPLITS.train.labels, EXTRA.labels]))


def test_further_images_are_none_of_the_training_set_and_keep_class_proportions() -> None:
    splits = load(DIGITS, extra=[40, 100])
    used = {image.numpy().tobytes() for image in splits.train.images}
    for count in (40, 100):
        extra = splits.extra[count]
        assert len(extra) == count
        assert not used.intersection(image.numpy().tobytes() for image in extra.images)
        assert extra.labels.bincount().min() >= count // 10 - 1


def test_more_further_images_than_there_are_is_refused() -> None:
    everything = DatasetSpec.parse("digits")
    count = len(load(everything).train)
    with pytest.raises(SepbenchError, match=f"clean_images asks for 1 images besides the {count} training images"):
        load(everything, extra=[1])


def test_a_card_tells_further_images_by_their_content_and_is_found_again(tmp_path: Path) -> None:
    made = card(DIGITS, tmp_path, extra=[40])
    assert made.extra_sha256 == {40: load(DIGITS, extra=[40]).extra[40].sha256}
    assert card(DIGITS, tmp_path, extra=[40]) == made
    assert card(DIGITS, tmp_path).extra_sha256 == {}
