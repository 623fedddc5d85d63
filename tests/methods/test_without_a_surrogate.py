"""Methods that need no trained network: class-noise, lsp, cuda, ops."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import ndimage
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from bench.contracts.method import CraftData
from bench.core.errors import SepbenchError
from tests.making.grey import added, grey, method

LABELS = [0, 1, 2, 0, 1, 2, 2]


def pictures(labels: list[int], side: int, seed: int = 0) -> CraftData:
    """Return images of random colours."""
    x = torch.rand(len(labels), 3, side, side, generator=torch.Generator().manual_seed(seed))
    return CraftData(x, torch.tensor(labels), max(labels) + 1, torch.arange(len(labels)))


SIZES: dict[str, Callable[[Tensor], Tensor]] = {
    "linf-8": lambda noise: noise.abs().amax() * 255,
    "l2-1": lambda noise: noise.norm(),
    "l0-4": lambda noise: noise.ne(0).any(0).sum(),
}


@pytest.mark.parametrize("budget", SIZES)
def test_images_of_a_class_get_one_pattern_of_the_whole_budget(budget: str) -> None:
    noise = added(method("class-noise"), budget, grey(LABELS, side=8))
    for one, other in itertools.combinations(range(len(LABELS)), 2):
        assert torch.equal(noise[one], noise[other]) == (LABELS[one] == LABELS[other])
    assert float(SIZES[budget](noise[0])) == pytest.approx(float(budget.split("-")[1]), rel=1e-5)


def test_another_craft_seed_draws_other_patterns() -> None:
    first, second = (added(method("class-noise"), "linf-8", grey([0]), seed) for seed in (0, 1))
    assert float((first != second).float().mean()) == pytest.approx(0.5, abs=0.05)


def test_lsp_adds_squares_of_exactly_the_norm() -> None:
    noise = added(method("lsp"), "l2-1.304", grey(LABELS))
    assert torch.allclose(noise.flatten(1).norm(dim=1), torch.tensor(1.304), rtol=1e-5)
    corners = noise[:, :, ::8, ::8]
    assert torch.equal(noise, corners.repeat_interleave(8, 2).repeat_interleave(8, 3))
    assert len(corners.flatten(1).unique(dim=0)) == len(LABELS), "every image has its own"


def test_squares_at_the_border_are_cut_where_sides_do_not_divide() -> None:
    noise = added(method("lsp"), "l2-1", grey([0, 1], side=20))
    assert torch.equal(noise[:, :, 16:, 16:], noise[:, :, 16:17, 16:17].expand(-1, -1, 4, 4))


def test_a_linear_classifier_reads_every_class_from_the_noise_of_lsp() -> None:
    data = grey([number % 10 for number in range(600)])
    noise = added(method("lsp"), "l2-1.304", data)[:, :, ::8, ::8].flatten(1).numpy()
    seen, unseen = slice(0, 400), slice(400, 600)
    classifier = LogisticRegression(C=1e4, max_iter=2000).fit(noise[seen], data.y[seen])
    assert classifier.score(noise[seen], data.y[seen]) == 1.0
    assert classifier.score(noise[unseen], data.y[unseen]) == 1.0


def test_too_few_squares_to_tell_the_classes_is_one_sentence() -> None:
    with pytest.raises(SepbenchError, match="lsp: squares of this size give 3 values an image, too few to tell 10 cl"):
        added(method("lsp"), "l2-1", grey(list(range(10)), side=8))


def test_eight_classes_have_the_eight_corners_of_three_values() -> None:
    noise = added(method("lsp", patch=8), "l2-1", grey([label for label in range(8) for _ in range(40)], side=8))
    signs = noise.view(8, 40, 3, 64)[..., 0].mean(1).sign()
    assert len(signs.unique(dim=0)) == 8


@pytest.mark.parametrize("size", [1, 3, 5])
def test_cuda_filters_as_scipy_does(size: int) -> None:
    data = pictures(LABELS, side=9)
    chosen = method("cuda", size=size)
    filtered = added(chosen, "unbounded", data) + data.x
    probe = torch.zeros(len(LABELS), 3, 11, 11)
    probe[:, :, 5, 5] = 1.0  # what a filter makes of one bright point is the filter turned round
    turned = added(chosen, "unbounded", CraftData(probe, data.y, 3, data.index)) + probe
    reach = size // 2
    kernels = turned[:, 0, 5 - reach : 6 + reach, 5 - reach : 6 + reach].flip(1, 2)
    assert torch.equal(kernels.flatten(1).amax(1), torch.ones(len(LABELS))), "one weight is 1, and no other is larger"
    for image, kernel, result in zip(data.x, kernels, filtered, strict=True):
        slow = np.stack([ndimage.correlate(channel, kernel.numpy(), mode="constant") for channel in image.numpy()])
        assert np.allclose(result.numpy(), slow / slow.max(), atol=1e-6)
    for one, other in itertools.combinations(range(len(LABELS)), 2):
        assert torch.equal(kernels[one], kernels[other]) == (LABELS[one] == LABELS[other] or size == 1)


def test_weights_of_cuda_are_below_the_blur_but_for_one() -> None:
    probe = torch.zeros(20, 3, 5, 5)
    probe[:, :, 2, 2] = 1.0
    data = CraftData(probe, torch.arange(20), 20, torch.arange(20))
    weights = (added(method("cuda", blur=0.3), "unbounded", data) + probe)[:, 0, 1:4, 1:4].flatten(1)
    assert (weights == 1).sum(1).tolist() == [1] * 20
    rest = weights[weights < 1]
    assert float(rest.max()) < 0.3
    assert float(rest.mean()) == pytest.approx(0.15, abs=0.03)


def test_a_black_image_stays_black_under_cuda() -> None:
    black = CraftData(torch.zeros(1, 3, 8, 8), torch.tensor([0]), 1, torch.tensor([0]))
    assert float(added(method("cuda"), "unbounded", black).abs().max()) == 0


def test_a_kernel_without_a_middle_is_refused() -> None:
    with pytest.raises(SepbenchError, match="cuda: size is 4, and a kernel has a middle: give an odd number"):
        added(method("cuda", size=4), "unbounded", grey([0]))


def slow_pixels(data: CraftData, pixels: int, as_released: bool) -> list[list[tuple[int, int, tuple[int, ...]]]]:
    """Return row, column and colour that each class chooses, by trying each on every image."""
    side = data.x.shape[-1]
    taken: set[tuple[int, int, tuple[int, ...]]] = set()
    chosen = []
    for label in range(data.classes):
        images = data.x[data.y == label].double()
        scores: dict[tuple[int, int, tuple[int, ...]], float] = {}
        for row, column, colour in itertools.product(range(side), range(side), itertools.product((0, 1), repeat=3)):
            change = (images[:, :, row, column] - torch.tensor(colour)).abs()
            total = change.sum(1)
            if as_released:
                score = float(change.mean() / change.std(correction=0))
            else:
                score = float(total.mean() / total.var(correction=0))
            scores[row, column, colour] = score
        own: list[tuple[int, int, tuple[int, ...]]] = []
        for pair in sorted(scores, key=scores.__getitem__, reverse=True):
            if len(own) < pixels and pair not in taken and all(pair[:2] != other[:2] for other in own):
                own.append(pair)
        taken.update(own)
        chosen.append(own)
    return chosen


@pytest.mark.parametrize("as_released", [False, True])
@pytest.mark.parametrize("pixels", [1, 3])
def test_ops_sets_the_pixels_that_a_search_through_all_finds(pixels: int, as_released: bool) -> None:
    data = pictures([number % 3 for number in range(21)], side=5, seed=3)
    protected = added(method("ops", as_released=as_released), f"l0-{pixels}", data) + data.x
    expected = data.x.clone()
    for label, places in enumerate(slow_pixels(data, pixels, as_released)):
        for row, column, colour in places:
            expected[data.y == label, :, row, column] = torch.tensor(colour, dtype=torch.float32)
    assert torch.allclose(protected, expected)


def test_no_two_classes_of_ops_share_place_and_colour() -> None:
    noise: Tensor = added(method("ops"), "l0-1", grey([0, 1, 2, 3], side=4))
    # All places and colours are alike here, so that the classes take the first of them in turn.
    assert noise.abs().amax((1,)).flatten(1).argmax(1).tolist() == [0, 0, 0, 0]
    assert len(noise[:, :, 0, 0].unique(dim=0)) == 4
