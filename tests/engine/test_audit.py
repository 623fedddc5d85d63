"""The audit of released bytes against loops over pixels and the published definitions."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from bench.engine.release import audit
from tests.making.images import noise
from tests.making.unread import UNREAD, Unread


def structured(count: int, side: int = 16, seed: int = 0) -> Tensor:
    """Return smooth uint8 images, [count, 3, side, side]."""
    pixels = np.random.default_rng(seed).uniform(-100, 355, (count, 3, side, side))
    return torch.from_numpy(gaussian_filter(pixels, (0, 0, 2, 2)).clip(0, 255).astype(np.uint8))


def slightly_changed(clean: Tensor, levels: int = 8, seed: int = 1) -> Tensor:
    change = torch.randint(-levels, levels + 1, clean.shape, generator=torch.Generator().manual_seed(seed))
    return (clean.int() + change).clamp(0, 255).to(torch.uint8)


def structural_similarity(first: np.ndarray, second: np.ndarray) -> float:
    """Wang et al. 2004: the mean over the 11x11 Gaussian windows that lie within one channel of an image."""

    def local(values: np.ndarray) -> np.ndarray:
        filtered: np.ndarray = gaussian_filter(values, sigma=1.5, radius=5)
        return filtered[5:-5, 5:-5]

    c1, c2 = 0.01**2, 0.03**2
    mean1, mean2 = local(first), local(second)
    variance1, variance2 = local(first**2) - mean1**2, local(second**2) - mean2**2
    covariance = local(first * second) - mean1 * mean2
    similarity = ((2 * mean1 * mean2 + c1) * (2 * covariance + c2)) / (
        (mean1**2 + mean2**2 + c1) * (variance1 + variance2 + c2)
    )
    return float(similarity.mean())


@pytest.mark.parametrize("levels", [1, 8, 100])
def test_the_norms_are_those_of_loops_over_pixels(levels: int) -> None:
    clean = structured(5)
    released = slightly_changed(clean, levels)
    released[3] = clean[3]
    linf, l2, l0 = 0, 0.0, 0
    for a, b in zip(clean.numpy(), released.numpy(), strict=True):
        changes = [[int(b[c, i, j]) - int(a[c, i, j]) for c in range(3)] for i in range(16) for j in range(16)]
        linf = max(linf, max(abs(change) for pixel in changes for change in pixel))
        l2 = max(l2, math.sqrt(sum(change**2 for pixel in changes for change in pixel)) / 255)
        l0 = max(l0, sum(any(pixel) for pixel in changes))
    measured = audit(clean, released)
    assert (measured.linf_levels, measured.l0) == (linf, l0)
    assert measured.l2 == pytest.approx(l2, rel=1e-12)


def test_psnr_is_that_of_the_mean_squared_error_over_all_images() -> None:
    clean = structured(5)
    released = slightly_changed(clean)
    released[3] = clean[3]
    squared = [(int(a) - int(b)) ** 2 for a, b in zip(clean.flatten(), released.flatten(), strict=True)]
    expected = 10 * math.log10(255**2 / (sum(squared) / len(squared)))
    assert audit(clean, released).psnr == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("side", [11, 12, 16, 32])
def test_ssim_is_the_mean_over_the_windows_within_the_images(side: int) -> None:
    clean = structured(4, side)
    released = slightly_changed(clean, 30)
    released[0, :, 0, :] = 255  # a change at the border weighs less than its share of the pixels
    expected = np.mean(
        [
            structural_similarity(clean[n, c].numpy() / 255, released[n, c].numpy() / 255)
            for n in range(4)
            for c in range(3)
        ]
    )
    assert audit(clean, released).ssim == pytest.approx(float(expected), abs=1e-5)


def test_images_smaller_than_the_window_have_no_ssim() -> None:
    assert audit(noise(2, side=10), noise(2, side=10, seed=1)).ssim is None


def test_an_unchanged_set_has_no_norm_no_psnr_and_full_similarity() -> None:
    clean = structured(3)
    measured = audit(clean, clean.clone())
    assert (measured.linf_levels, measured.l2, measured.l0, measured.psnr) == (0, 0, 0, None)
    assert measured.ssim == pytest.approx(1)


def test_one_changed_pixel_of_many_images_is_found() -> None:
    clean = structured(1100, side=4)
    released = clean.clone()
    released[1050, 1, 2, 3] ^= 64
    measured = audit(clean, released)
    assert (measured.linf_levels, measured.l0) == (64, 1)
    assert measured.l2 == pytest.approx(64 / 255)
    assert measured.psnr == pytest.approx(10 * math.log10(255**2 * clean.numel() / 64**2))


def test_images_count_alike_wherever_the_set_is_split() -> None:
    clean = structured(700, side=12)
    released = slightly_changed(clean)
    released[600:] = 255 - clean[600:]
    whole = audit(clean, released)
    parts = [audit(clean[:600], released[:600]), audit(clean[600:], released[600:])]
    assert whole.ssim == pytest.approx((600 * parts[0].ssim + 100 * parts[1].ssim) / 700, abs=1e-6)  # type: ignore[operator]
    assert whole.linf_levels == max(part.linf_levels for part in parts)


def test_moving_down_counts_as_much_as_moving_up() -> None:
    clean, released = torch.full((1, 3, 4, 4), 200, dtype=torch.uint8), torch.full((1, 3, 4, 4), 10, dtype=torch.uint8)
    assert audit(clean, released).linf_levels == audit(released, clean).linf_levels == 190


def test_ssim_is_taken_where_no_gpu_rounds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[torch.dtype, int]] = []

    def noting(first: torch.Tensor, second: torch.Tensor, **how: object) -> tuple[torch.Tensor, torch.Tensor]:
        assert first.dtype == second.dtype
        seen.append((first.dtype, len(first)))
        return first, first

    monkeypatch.setattr("torchmetrics.functional.image.structural_similarity_index_measure", noting)
    large = torch.zeros(40, 3, 224, 224, dtype=torch.uint8)
    audit(large[:20], large[:20])
    with Unread():
        audit(large, large, UNREAD)
    assert seen == [(torch.float32, 20), (torch.float64, 20), (torch.float64, 20)]
