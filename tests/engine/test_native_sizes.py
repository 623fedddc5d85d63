"""A perturbation that was crafted at one size is there when a picture of another size is resized."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy.optimize import lsq_linear

from bench.contracts.budget import Budget
from bench.core.errors import SepbenchError
from bench.data.decoding import Fit, to_square
from bench.engine import native
from bench.engine.native import Resize, bring_to_own_size, seen_at
from tests.making.perturbations import lost
from tests.making.pictures import Pixels, photo

LINF = Budget.parse("linf-8")
SIDE = 16
SIZES = [(32, 32), (40, 27), (17, 16), (90, 120), (11, 9), (10, 50)]


def crafted_for(picture: Pixels, fit: Fit, *, coarse: int = 4, levels: int = 8, seed: int = 0) -> Pixels:
    """Return what a network sees of a picture with squares of changed colour, uint8 [3, SIDE, SIDE]."""
    signs = np.random.default_rng(seed).choice([-levels, levels], (SIDE // coarse, SIDE // coarse, 3))
    seen = seen_at(picture, SIDE, fit) + signs.repeat(coarse, 0).repeat(coarse, 1)
    crafted: Pixels = seen.clip(0, 255).astype(np.uint8).transpose(2, 0, 1)
    return crafted


def change(picture: Pixels, protected: Pixels) -> NDArray[np.int64]:
    moved: NDArray[np.int64] = protected.astype(np.int64) - picture.astype(np.int64)
    return moved


def norm(picture: Pixels, protected: Pixels) -> float:
    """Return the norm of all changes on the [0, 1] scale."""
    return float(np.sqrt((change(picture, protected) ** 2).sum())) / 255


# The matrices.


@pytest.mark.parametrize("fit", ["squeeze", "crop"])
@pytest.mark.parametrize("size", [*SIZES, (SIDE, SIDE), (600, 530)], ids=str)
def test_the_matrices_are_pillows_resize_but_for_its_rounding(size: tuple[int, int], fit: Fit) -> None:
    picture = (photo(*size, seed=1) // 2 + 60).astype(np.uint8)  # nothing of which leaves bytes on the way
    exact = Resize.of(*size, SIDE, fit)(picture.transpose(2, 0, 1).astype(np.float32))
    pillow = np.asarray(to_square(Image.fromarray(picture), SIDE, fit)).transpose(2, 0, 1)
    # Pillow rounds to bytes after each of two passes, of which the second can enlarge what the first one is off by.
    assert np.abs(exact - pillow).max() < 1.3
    assert np.abs(exact - pillow).mean() < 0.5


@pytest.mark.parametrize("fit", ["squeeze", "crop"])
def test_going_back_is_the_adjoint_of_resizing(fit: Fit) -> None:
    resize = Resize.of(21, 34, SIDE, fit)
    random = np.random.default_rng(0)
    change, seen = random.standard_normal((3, 21, 34)), random.standard_normal((3, SIDE, SIDE))
    assert (resize(change) * seen).sum() == pytest.approx((change * resize.back(seen)).sum(), rel=1e-4)


def test_the_gain_is_the_largest_square_of_a_singular_value() -> None:
    resize = Resize.of(9, 12, 6, "squeeze")
    assert resize.gain == pytest.approx(np.linalg.norm(np.kron(resize.rows, resize.columns), 2) ** 2, rel=1e-4)


# The solution.


@pytest.mark.parametrize("size", [(12, 14), (9, 9), (7, 6), (16, 16), (5, 20)], ids=str)
def test_no_change_within_the_bounds_is_seen_as_nearer_than_the_one_that_is_found(size: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    resize = Resize.of(*size, 8, "squeeze")
    wanted = random.choice([-8.0, 8.0], (1, 8, 8)).astype(np.float32)
    low, high = -random.integers(1, 9, (1, *size)).astype(np.float32), np.full((1, *size), 8, np.float32)
    matrix = np.kron(resize.rows, resize.columns).astype(np.float64)
    best = lsq_linear(matrix, wanted.ravel().astype(np.float64), (low.ravel(), high.ravel()), tol=1e-12)
    found = native._change(resize, wanted, low, high, None)
    assert ((low <= found) & (found <= high)).all()
    assert (found == np.rint(found)).all()
    off = float(np.square(resize(found) - wanted).sum())
    assert 2 * best.cost * (1 - 1e-4) <= off <= 2 * best.cost * 1.004  # of which almost all is the rounding


def test_under_a_norm_no_change_is_seen_as_nearer_where_nothing_else_binds() -> None:
    # Where only the ball binds, the least squares within it are a ridge regression whose solution is on its edge.
    resize = Resize.of(12, 15, 8, "squeeze")
    wanted = np.random.default_rng(0).standard_normal((1, 8, 8)) * 20
    matrix = np.kron(resize.rows, resize.columns).astype(np.float64)
    radius = 60.0
    below, above = 1e-9, 1e3
    for _ in range(100):
        ridge = np.sqrt(below * above)
        solution = np.linalg.solve(matrix.T @ matrix + ridge * np.eye(180), matrix.T @ wanted.ravel())
        below, above = (ridge, above) if np.linalg.norm(solution) > radius else (below, ridge)
    best = np.square(matrix @ solution - wanted.ravel()).sum()
    far = np.full((1, 12, 15), 1000.0, np.float32)
    found = native._nearest(resize, wanted.astype(np.float32), -far, far, (radius, np.ones((12, 15), np.float32)))
    assert np.linalg.norm(found) <= radius * (1 + 1e-6)
    assert np.square(resize(found) - wanted).sum() == pytest.approx(best, rel=1e-3)


# What a victim sees.


@pytest.mark.parametrize("fit", ["squeeze", "crop"])
@pytest.mark.parametrize("size", [(32, 32), (40, 27), (90, 120)], ids=str)
def test_most_of_a_perturbation_is_there_after_pillows_resize(size: tuple[int, int], fit: Fit) -> None:
    picture = (photo(*size) // 2 + 60).astype(np.uint8)
    crafted = crafted_for(picture, fit)
    protected = bring_to_own_size(picture, crafted, fit, LINF)
    assert np.abs(change(picture, protected)).max() <= 8
    assert lost(picture, protected, crafted, fit) < 0.15
    seen = change(seen_at(picture, SIDE, fit).astype(np.uint8), seen_at(protected, SIDE, fit).astype(np.uint8))
    wanted = crafted.transpose(1, 2, 0) - seen_at(picture, SIDE, fit)
    assert (np.sign(seen) == np.sign(wanted)).mean() > 0.97


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_more_of_it_is_there_than_of_a_perturbation_that_was_only_enlarged(size: tuple[int, int]) -> None:
    picture = (photo(*size) // 2 + 60).astype(np.uint8)
    crafted = crafted_for(picture, "squeeze", coarse=1)
    delta = crafted.transpose(1, 2, 0) - seen_at(picture, SIDE, "squeeze")
    images = [Image.fromarray(delta[..., k]).resize(size[::-1], Image.Resampling.BICUBIC) for k in range(3)]
    layers = [np.asarray(image) for image in images]
    enlarged = (picture + np.stack(layers, 2).clip(-8, 8).round()).astype(np.uint8)
    ours = lost(picture, bring_to_own_size(picture, crafted, "squeeze", LINF), crafted, "squeeze")
    assert ours < lost(picture, enlarged, crafted, "squeeze")


def test_nothing_is_changed_where_nothing_was_crafted() -> None:
    picture = photo(40, 27)
    crafted = seen_at(picture, SIDE, "crop").astype(np.uint8).transpose(2, 0, 1)
    np.testing.assert_array_equal(bring_to_own_size(picture, crafted, "crop", LINF), picture)
    assert lost(picture, picture, crafted, "crop") == 0


def test_pixels_outside_of_the_square_that_is_cut_out_stay() -> None:
    picture = photo(40, 120)
    protected = bring_to_own_size(picture, crafted_for(picture, "crop"), "crop", LINF)
    moved = np.abs(change(picture, protected)).max((0, 2)) > 0
    assert not moved[:30].any()
    assert moved[45:75].all()
    assert not moved[90:].any()


@pytest.mark.parametrize("size", [(SIDE, SIDE), (24, 10)], ids=str)
def test_a_picture_that_is_seen_at_its_own_size_is_returned_as_crafted(size: tuple[int, int]) -> None:
    picture = photo(*size)
    crafted = np.clip(picture.astype(int) + np.random.default_rng(0).integers(-8, 9, picture.shape), 0, 255)
    given = crafted.astype(np.uint8).transpose(2, 0, 1)
    np.testing.assert_array_equal(bring_to_own_size(picture, given, "crop", LINF), crafted)
    np.testing.assert_array_equal(bring_to_own_size(picture, given / 255, "crop", LINF), crafted)


# Budgets.


@settings(max_examples=30, deadline=None)
@given(
    size=st.tuples(st.integers(3, 60), st.integers(3, 60)),
    fit=st.sampled_from(["squeeze", "crop"]),
    budget=st.sampled_from(["linf-1", "linf-8", "l2-0.3", "l2-1.0"]),
    grey=st.booleans(),
    seed=st.integers(0, 99),
)
def test_the_budget_is_kept_at_every_size(size: tuple[int, int], fit: Fit, budget: str, grey: bool, seed: int) -> None:
    picture = photo(*size, seed=seed)
    if grey:
        picture = picture[..., :1].repeat(3, 2)
    kept = Budget.parse(budget)
    crafted = crafted_for(picture, fit, coarse=2, levels=8 if budget == "linf-8" else 1, seed=seed)
    protected = bring_to_own_size(picture, crafted, fit, kept, grey=grey)
    assert protected.shape == picture.shape
    assert protected.dtype == np.uint8
    if kept.norm == "linf":
        assert np.abs(change(picture, protected)).max() <= int(kept.radius * 255 + 0.5)
    else:
        assert norm(picture, protected) <= kept.radius * (1 + 1e-9)


def test_an_l2_budget_buys_less_the_larger_a_picture_is() -> None:
    budget = Budget.parse("l2-0.5")
    shares = []
    for times in (2, 4, 8):
        picture = (photo(SIDE * times, SIDE * times) // 2 + 60).astype(np.uint8)
        clean = seen_at(picture, SIDE, "squeeze")
        signs = np.random.default_rng(0).choice([-1, 1], (4, 4, 3)).repeat(4, 0).repeat(4, 1)
        delta = np.rint(signs * 0.5 * 255 / np.sqrt(signs.size))  # which spends the budget at the crafting size
        crafted = (clean + delta).astype(np.uint8).transpose(2, 0, 1)
        protected = bring_to_own_size(picture, crafted, "squeeze", budget)
        assert norm(picture, protected) <= 0.5
        moved = change(picture, protected).transpose(2, 0, 1).astype(np.float32)
        exact = Resize.of(picture.shape[0], picture.shape[1], SIDE, "squeeze")(moved)
        shares.append((exact.transpose(1, 2, 0) * delta).sum() / (delta**2).sum())
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == pytest.approx(1 / 2, rel=0.2)  # side / sqrt(H W)


def test_unbounded_changes_end_at_black_and_white() -> None:
    picture = photo(40, 27)
    crafted = np.zeros((3, SIDE, SIDE), np.uint8)
    protected = bring_to_own_size(picture, crafted, "squeeze", Budget.parse("unbounded"))
    assert seen_at(protected, SIDE, "squeeze").mean() < 0.3
    assert seen_at(picture, SIDE, "squeeze").mean() > 100


def test_l0_has_no_meaning_at_another_size() -> None:
    picture = photo(40, 27)
    with pytest.raises(SepbenchError, match="counts pixels"):
        bring_to_own_size(picture, crafted_for(picture, "crop"), "crop", Budget.parse("l0-1"))


# Grey.


@pytest.mark.parametrize("size", [(40, 27), (SIDE, SIDE)], ids=str)
def test_a_grey_picture_stays_grey_and_is_moved_by_the_mean_as_strongly_as_was_crafted(size: tuple[int, int]) -> None:
    picture = (photo(*size, channels=1) // 2 + 60).astype(np.uint8)[..., None].repeat(3, 2)
    clean = seen_at(picture, SIDE, "squeeze").transpose(2, 0, 1)
    crafted = (clean + np.array([4, 3, -1])[:, None, None]).astype(np.uint8)
    protected = bring_to_own_size(picture, crafted, "squeeze", LINF, grey=True)
    assert (protected == protected[..., :1]).all()
    # Their mean is 2, and the root of their mean square, (16 + 9 + 1) / 3, is 2.94.
    assert change(picture, protected).mean() == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize("size", [(40, 27), (SIDE, SIDE)], ids=str)
@pytest.mark.parametrize("budget", ["linf-8", "l2-0.6"])
def test_what_is_made_stronger_keeps_the_budget(size: tuple[int, int], budget: str) -> None:
    picture = (photo(*size, channels=1) // 2 + 60).astype(np.uint8)[..., None].repeat(3, 2)
    clean = seen_at(picture, SIDE, "squeeze").transpose(2, 0, 1)
    levels = np.random.default_rng(0).choice([-8, 8], clean.shape)
    crafted = (clean + (levels if budget == "linf-8" else levels // 8 * 5)).astype(np.uint8)
    protected = bring_to_own_size(picture, crafted, "squeeze", Budget.parse(budget), grey=True)
    assert (protected == protected[..., :1]).all()
    assert np.abs(change(picture, protected)).max() == 8 if budget == "linf-8" else norm(picture, protected) <= 0.6


def test_channels_that_cancel_out_leave_a_grey_picture_as_it_is() -> None:
    picture = np.full((SIDE, SIDE, 3), 100, np.uint8)
    crafted = (picture.transpose(2, 0, 1) + np.array([5, -5, 0])[:, None, None]).astype(np.uint8)
    np.testing.assert_array_equal(bring_to_own_size(picture, crafted, "crop", LINF, grey=True), picture)
