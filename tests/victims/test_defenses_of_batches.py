"""What every defense that changes batches keeps, and cutout and Gaussian noise against their definitions."""

from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from bench.contracts.defense import DEFENSES, Defenses
from bench.engine.training import Labelled, train
from tests.making.batches import chain, changed, constant, labels, looks_alike, photos
from tests.making.images import every_size, seeded
from tests.making.trainings import IMAGES, LABELS, TEST, Recorder, draft, fresh, recipe

NAMES = ["cutout", "mixup", "cutmix", "gaussian-noise", "coin"]

every_defense = pytest.mark.parametrize("written", NAMES)


@every_defense
@every_size
@pytest.mark.parametrize("count", [1, 7])
def test_any_size_and_number_of_images_stays_images_in_range(written: str, size: tuple[int, int], count: int) -> None:
    x = photos(count, size)
    result, targets = chain(written).batch(x, labels(count), seeded())
    assert result.shape == x.shape
    assert result.dtype == torch.float32
    assert float(result.min()) >= 0
    assert float(result.max()) <= 1
    assert len(targets) == count


@every_defense
def test_the_batch_it_is_given_stays_as_it_was(written: str) -> None:
    x, y = photos(7), labels(7)
    result, targets = chain(written).batch(x, y, seeded())
    result.zero_()
    targets.zero_()
    assert torch.equal(x, photos(7))
    if written in ("mixup", "cutmix"):
        assert torch.equal(y, labels(7))


@every_defense
def test_a_seed_decides_every_draw(written: str) -> None:
    x = photos(7)
    assert torch.equal(changed(written, x), changed(written, x))
    assert not torch.equal(changed(written, x), changed(written, x, seed=1))


@every_defense
def test_every_batch_is_drawn_anew(written: str) -> None:
    generator, defense, x = seeded(), chain(written), photos(7)
    assert not torch.equal(defense.batch(x, labels(7), generator)[0], defense.batch(x, labels(7), generator)[0])


@pytest.mark.parametrize("written", ["cutout", "gaussian-noise", "coin"])
def test_each_image_is_drawn_for_itself_and_labels_stay(written: str) -> None:
    x = photos(1).expand(20, -1, -1, -1).contiguous(memory_format=torch.channels_last)
    result, targets = chain(written).batch(x, labels(20), seeded())
    different = len({image.numpy().tobytes() for image in result.contiguous()})
    assert different >= 15 if written == "cutout" else different == 20, "two squares may fall on one place"
    assert torch.equal(targets, labels(20))


def black(result: Tensor) -> Tensor:
    """Return where all channels are 0, bool [B, H, W]."""
    return (result == 0).all(1)


def square(row: int, column: int, side: int, size: tuple[int, int]) -> np.ndarray:
    """Return the square around a pixel, as far as it lies inside."""
    padded = np.zeros((size[0] + 2 * side, size[1] + 2 * side), dtype=bool)
    first_row, first_column = side + row - side // 2, side + column - side // 2
    padded[first_row : first_row + side, first_column : first_column + side] = True
    return padded[side : side + size[0], side : side + size[1]]


@every_size
@pytest.mark.parametrize("side", [1, 4, 5, 16, 100])
def test_cutout_blackens_one_square_and_nothing_else(size: tuple[int, int], side: int) -> None:
    x = constant(0.7, 30, size)
    result = changed(f"cutout-{side}", x)
    possible = {square(row, column, side, size).tobytes() for row in range(size[0]) for column in range(size[1])}
    for image, hidden in zip(result, black(result).numpy(), strict=True):
        assert hidden.tobytes() in possible
        assert set(image[:, ~hidden].flatten().tolist()) <= {float(torch.tensor(0.7))}


def test_the_centres_of_cutout_are_uniform_over_the_image_borders_included() -> None:
    hidden = black(changed("cutout-1", constant(1, 6400, (8, 8)))).flatten(1)
    assert bool((hidden.sum(1) == 1).all())
    assert scipy.stats.chisquare(hidden.sum(0).numpy()).pvalue > 0.01


def test_the_default_square_has_16_pixels_a_side() -> None:
    assert str(Defenses.parse("cutout")) == "cutout-16"
    areas = black(changed("cutout", constant(1, 200, (64, 64)))).sum((1, 2))
    assert int(areas.max()) == 16 * 16
    assert int(areas.min()) >= 8 * 8, "the centre lies inside, and half a side to each of two directions with it"


@pytest.mark.parametrize("sigma", [4, 8])
def test_noise_is_normal_of_sigma_levels_and_independent_of_place_and_channel(sigma: int) -> None:
    x = constant(0.5, 50)
    added = ((changed(f"gaussian-noise-{sigma}", x) - x) * 255).numpy()
    assert looks_alike(added.ravel(), scipy.stats.norm(0, sigma).cdf)
    channels = np.corrcoef(added.transpose(1, 0, 2, 3).reshape(3, -1))
    assert np.abs(channels - np.eye(3)).max() < 0.05


def test_noise_has_8_levels_by_default_and_is_clamped() -> None:
    assert str(Defenses.parse("gaussian-noise")) == "gaussian-noise-8"
    for level in (0.0, 1.0):
        result = changed("gaussian-noise", constant(level, 20))
        assert float((result == level).double().mean()) == pytest.approx(0.5, abs=0.03)


def test_training_tells_every_defense_of_a_chain_how_many_classes_there_are(tmp_path: Path) -> None:
    seen = Recorder()
    mixing = [DEFENSES.get("cutmix")(), DEFENSES.get("mixup")()]
    few = Labelled(IMAGES[LABELS < 2], LABELS[LABELS < 2], classes=3)
    _, history = train(
        lambda _: fresh(), few, TEST, recipe(epochs=2), Defenses([*mixing, seen]), 0, draft=draft(tmp_path)
    )
    for _, targets in seen.batches:
        assert targets.shape[1] == 3, "the last class has no image, but the network a logit for it"
        assert float(targets[:, 2].max()) == 0
    assert len(history) == 2
    assert all(0 <= accuracy <= 100 for accuracy in history.train_acc)
