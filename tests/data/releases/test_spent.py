"""What was spent, against counting it pixel by pixel."""

import math
from pathlib import Path

import numpy as np
import pytest

from bench.contracts.budget import Budget
from bench.data.releases import bring
from bench.data.releases.spent import Spent
from bench.flows.fitting_budget import beyond, check_budget, fitting_budget
from tests.making.brought_sets import COUNT, clean_npz, noise, pixels, protected
from tests.making.tiny_data import complaint


def spent(folder: Path, images: np.ndarray) -> Spent:
    np.save(folder / "brought.npy", images)
    return bring(folder / "brought.npy", clean_npz(folder)).spent


def test_every_norm_is_counted_on_the_bytes(tmp_path: Path) -> None:
    found = spent(tmp_path, protected())
    for row in range(COUNT):
        linf = l0 = energy = 0
        for line, clean_line in zip(protected()[row], pixels()[row], strict=True):
            for pixel, clean in zip(line.tolist(), clean_line.tolist(), strict=True):
                levels = [abs(a - b) for a, b in zip(pixel, clean, strict=True)]
                linf, l0 = max(linf, *levels), l0 + any(levels)
                energy += sum(one**2 for one in levels)
        assert (found.linf[row], found.l0[row]) == (linf, l0)
        assert found.l2[row] == pytest.approx(math.sqrt(energy) / 255)
    assert found.most() == {
        "linf_levels": int(found.linf.max()),
        "l2": float(found.l2.max()),
        "l0": int(found.l0.max()),
    }


def test_unchanged_images_are_not_counted_as_protected(tmp_path: Path) -> None:
    images = protected()
    images[2:6] = pixels()[2:6]
    assert spent(tmp_path, images).changed == COUNT - 4


def with_noise(size: int) -> np.ndarray:
    images: np.ndarray = np.clip(pixels().astype(int) + noise(size=size), 0, 255).astype(np.uint8)
    return images


def one_pixel() -> np.ndarray:
    images = pixels()
    images[:, 3, 3] = 0
    return images


def a_patch() -> np.ndarray:
    images = pixels()
    images[:, :6, :6] = 0
    return images


def some_spots() -> np.ndarray:
    images = pixels()
    images[:, ::2, ::2, 0] ^= 32
    return images


@pytest.mark.parametrize(
    ("images", "track"),
    [
        (with_noise(1), "linf-1"),
        (with_noise(3), "linf-4"),
        (with_noise(8), "linf-8"),
        (with_noise(9), "linf-16"),
        (one_pixel(), "l0-1"),
        (some_spots(), "linf-32"),
        (with_noise(40), "l2-2"),
        (a_patch(), "unbounded"),
    ],
)
def test_the_track_is_the_smallest_usual_budget_that_every_image_keeps(
    images: np.ndarray, track: str, tmp_path: Path
) -> None:
    found = spent(tmp_path, images)
    assert str(fitting_budget(found)) == track
    assert beyond(found, Budget.parse(track)) == 0


def test_images_beyond_a_budget_are_counted_and_the_refusal_says_by_how_much(tmp_path: Path) -> None:
    images = with_noise(8)
    for row, levels in ((1, 11), (4, 9)):
        value = int(pixels()[row, 0, 0, 0])
        images[row, 0, 0, 0] = value - levels if value > 127 else value + levels
    found = spent(tmp_path, images)
    assert beyond(found, Budget.parse("linf-8")) == 2
    check_budget(found, Budget.parse("linf-11"), "x.npy")
    assert complaint(check_budget, found, Budget.parse("linf-8"), "x.npy") == (
        "x.npy leaves the budget linf-8: 2 of its 12 images do, one by 11 levels; leave --budget out to have the track "
        "found, which would be linf-16"
    )
