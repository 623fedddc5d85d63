"""Mixup and cutmix against their definitions, and their draws against the distributions they are said to have."""

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from tests.making.batches import CLASSES, chain, labels, looks_alike, photos
from tests.making.images import every_size, seeded
from victims.defenses._mixing import beta


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_proportions_are_beta_distributed(alpha: float) -> None:
    generator = seeded()
    drawn = torch.stack([beta(alpha, generator) for _ in range(3000)]).numpy()
    assert looks_alike(drawn, scipy.stats.beta(alpha, alpha).cdf)


def test_proportions_of_the_smallest_alpha_are_either_end_and_never_nothing() -> None:
    generator = seeded()
    drawn = torch.stack([beta(1e-3, generator) for _ in range(1000)])
    assert bool(drawn.isfinite().all())
    assert float(((drawn < 1e-6) | (drawn > 1 - 1e-6)).double().mean()) > 0.95
    assert float(drawn.mean()) == pytest.approx(0.5, abs=0.06)


def one_hot(label: int) -> Tensor:
    return torch.tensor([1.0 if one == label else 0.0 for one in range(CLASSES)])


@pytest.mark.parametrize("written", ["mixup", "cutmix", "mixup:alpha=0.5", "cutmix:alpha=0.5"])
def test_one_proportion_and_one_order_mix_images_and_targets(written: str) -> None:
    """Images that are unit vectors show which two were mixed, and how much of each."""
    count = CLASSES
    x = torch.zeros(count, 3, 16, 16)
    for index, image in enumerate(x):
        image.view(3, -1)[:, index::count] = 1
    for seed in range(20):
        result, targets = chain(written).batch(x, labels(count), seeded(seed))
        # With a class for each image, the targets tell partner and proportion, and the images must agree.
        kept = {round(float(row[own]), 4) for own, row in enumerate(targets)} - {1.0}
        assert len(kept) <= 1, "one proportion for the batch; an image may be its own partner"
        partners = [
            int((row - row[own] * one_hot(own)).argmax()) if row[own] < 1 else own for own, row in enumerate(targets)
        ]
        assert sorted(partners) == list(range(count)), "each image is the partner of one"
        for own, partner in enumerate(partners):
            share = float(targets[own, own])
            torch.testing.assert_close(targets[own], share * one_hot(own) + (1 - share) * one_hot(partner))
            if written.startswith("mixup"):
                torch.testing.assert_close(result[own], share * x[own] + (1 - share) * x[partner])
            else:
                assert bool(((result[own] == x[own]) | (result[own] == x[partner])).all())


def proportions(written: str, size: tuple[int, int], batches: int) -> tuple[np.ndarray, Tensor]:
    """Return the share kept of each batch of a black and a white image, and the black image's pixels."""
    x = torch.stack([torch.zeros(3, *size), torch.ones(3, *size)])
    defense, generator = chain(written), seeded()
    shares: list[float] = []
    images = []
    while len(shares) < batches:
        result, targets = defense.batch(x, torch.tensor([0, 1]), generator)
        if float(result[1].min()) < 1:  # the images were each other's partners, and something was mixed
            shares.append(float(targets[0, 0]))
            images.append(result[0])
    return np.array(shares), torch.stack(images)


def test_mixup_keeps_a_uniform_share_by_default() -> None:
    shares, images = proportions("mixup", (2, 2), batches=1000)
    assert looks_alike(shares, "uniform")
    torch.testing.assert_close(images, torch.from_numpy(1 - shares).float()[:, None, None, None].expand_as(images))


@every_size
def test_cutmix_pastes_one_box_and_targets_follow_the_area_it_has(size: tuple[int, int]) -> None:
    shares, images = proportions("cutmix", size, batches=50)
    for share, image in zip(shares, images, strict=True):
        assert torch.equal(image[0], image[1])
        assert torch.equal(image[0], image[2])
        rows, columns = image[0].amax(1) == 1, image[0].amax(0) == 1
        assert torch.equal(image[0], (rows[:, None] & columns).float()), "a box"
        for side in (rows, columns):
            edges = np.diff(np.concatenate([[0], side.int().numpy(), [0]]))
            assert np.abs(edges).sum() == 2, "in one piece"
        assert share == pytest.approx(1 - int(rows.sum()) * int(columns.sum()) / (size[0] * size[1]), abs=1e-6)


def published_box(size: int, share: float, row: int, column: int) -> tuple[int, int, int, int]:
    cut = int(size * np.sqrt(1 - share))
    top, bottom = max(row - cut // 2, 0), min(row + cut // 2, size)
    left, right = max(column - cut // 2, 0), min(column + cut // 2, size)
    return top, bottom, left, right


def test_the_boxes_of_cutmix_are_as_large_as_the_papers() -> None:
    shares, _ = proportions("cutmix", (16, 16), batches=1500)
    random = np.random.default_rng(0)
    expected: list[float] = []
    while len(expected) < 1500:
        top, bottom, left, right = published_box(16, random.uniform(), *random.integers(16, size=2))
        if area := (bottom - top) * (right - left):
            expected.append(1 - area / 256)
    assert scipy.stats.ks_2samp(shares, expected).pvalue > 0.01


@pytest.mark.parametrize("written", ["mixup", "cutmix"])
def test_an_image_alone_is_its_own_partner(written: str) -> None:
    x = photos(1)
    result, targets = chain(written).batch(x, torch.tensor([3]), seeded())
    assert torch.equal(result, x)
    torch.testing.assert_close(targets, one_hot(3)[None])


@pytest.mark.parametrize("written", ["cutmix+mixup", "mixup+cutmix", "cutout+mixup+mixup", "cutmix+gaussian-noise"])
def test_mixed_targets_are_mixed_again(written: str) -> None:
    for seed in range(5):
        _, targets = chain(written).batch(photos(7), labels(7), seeded(seed))
        assert targets.shape == (7, CLASSES)
        assert float(targets.min()) >= 0
        torch.testing.assert_close(targets.sum(1), torch.ones(7))
        assert int((targets > 0).sum(1).max()) > (1 if "noise" in written else 2), "of up to four images"


def test_targets_have_a_column_for_every_class_of_the_data_not_of_the_batch() -> None:
    _, targets = chain("mixup").batch(photos(2), torch.tensor([0, 1]), seeded())
    assert targets.shape == (2, CLASSES)
