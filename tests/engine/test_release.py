"""From crafted images to bytes: rounded, within the budget, or refused."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench.contracts.budget import Budget
from bench.engine.release import BudgetExceeded, release
from tests.making.images import noise

CLEAN = noise(6, side=8)
GREY = torch.full_like(CLEAN, 128)  # where [0, 1] cuts nothing off a perturbation


def as_float(images: Tensor) -> Tensor:
    return images.float() / 255


def perturbed(budget: Budget, seed: int, clean: Tensor = CLEAN) -> Tensor:
    """Return images on the edge of the ball as far as [0, 1] allows."""
    step = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))
    return budget.project(as_float(clean), as_float(clean) + budget.radius * budget.direction(step))


def longest(clean: Tensor, released: Tensor) -> float:
    """Return the largest l2 norm of an image's perturbation, on the [0, 1] scale, from whole levels."""
    levels = released.numpy().astype(np.int64) - clean.numpy().astype(np.int64)
    return math.sqrt(int((levels**2).reshape(len(clean), -1).sum(1).max())) / 255


def test_pixels_are_rounded_to_the_nearest_level_never_cut() -> None:
    levels = [level + part for level in range(255) for part in (0, 0.01, 0.3, 0.49, 0.51, 0.99)]
    crafted = torch.tensor(levels, dtype=torch.float64).view(1, 3, 17, 30) / 255
    released = release(torch.zeros(1, 3, 17, 30, dtype=torch.uint8), crafted, None)
    assert released.flatten().tolist() == [math.floor(level + 0.5) for level in levels]


def test_every_level_survives_the_way_to_floats_and_back() -> None:
    every = torch.arange(256, dtype=torch.uint8).repeat(3).view(1, 3, 16, 16)
    assert torch.equal(release(every, as_float(every), Budget.parse("linf-0")), every)
    assert torch.equal(release(every, as_float(every), Budget.parse("l2-0")), every)


def test_every_linf_budget_is_met_exactly_by_the_bytes() -> None:
    # Every byte is moved by the whole budget up and down, as far as the range of a byte allows.
    every = torch.arange(256, dtype=torch.uint8).repeat(6).view(2, 3, 16, 16)
    sign = torch.tensor([1, -1])[:, None, None, None]
    for levels in range(256):
        budget = Budget.parse(f"linf-{levels}")
        crafted = budget.project(as_float(every), as_float(every) + sign * budget.radius)
        expected = (every.int() + levels * sign.int()).clamp(0, 255)
        assert torch.equal(release(every, crafted, budget).int(), expected)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(size=st.floats(0.001, 5), seed=st.integers(0, 2**31), clean=st.sampled_from([CLEAN, GREY]))
def test_bytes_stay_in_every_l2_ball(size: float, seed: int, clean: Tensor) -> None:
    budget = Budget(norm="l2", size=size)
    assert longest(clean, release(clean, perturbed(budget, seed, clean), budget)) <= budget.radius


def test_rounding_alone_would_leave_an_l2_ball() -> None:
    budget = Budget.parse("l2-1")
    crafted = perturbed(budget, 0, GREY)
    assert longest(GREY, (crafted * 255).round().to(torch.uint8)) > budget.radius
    assert longest(GREY, release(GREY, crafted, budget)) <= budget.radius


@settings(derandomize=True, deadline=None, max_examples=30)
@given(size=st.floats(0.5, 2), seed=st.integers(0, 2**31))
def test_an_l2_ball_is_still_used_up(size: float, seed: int) -> None:
    budget = Budget(norm="l2", size=size)
    released = release(GREY, perturbed(budget, seed, GREY), budget)
    shortest = min(longest(GREY[n : n + 1], released[n : n + 1]) for n in range(len(GREY)))
    assert shortest >= 0.95 * budget.radius


def test_images_that_fit_the_ball_are_only_rounded() -> None:
    budget = Budget.parse("l2-2")
    crafted = perturbed(Budget.parse("l2-0.5"), seed=0)
    crafted[0] = perturbed(budget, seed=1)[0]  # this one may be shrunk; its neighbours must not notice
    released = release(CLEAN, crafted, budget)
    assert torch.equal(released[1:], (crafted[1:] * 255).round().to(torch.uint8))


def test_a_ball_as_small_as_what_float32_can_tell_apart_is_no_breach() -> None:
    budget = Budget.parse("l2-0.0001")
    clean = torch.full((8, 3, 32, 32), 254, dtype=torch.uint8)
    assert torch.equal(release(clean, perturbed(budget, 0, clean), budget), clean)


def test_without_a_budget_the_bytes_are_those_crafted() -> None:
    other = noise(6, side=8, seed=1)
    assert torch.equal(release(CLEAN, as_float(other), None), other)


def test_released_bytes_are_not_the_clean_tensor_itself() -> None:
    clean = CLEAN.clone()
    released = release(clean, as_float(clean), Budget.parse("linf-8"))
    released.zero_()
    assert torch.equal(clean, CLEAN)


@pytest.mark.parametrize("budget", [None, "linf-8", "l2-1", "l0-4", "unbounded"])
@pytest.mark.parametrize(
    ("value", "says"),
    [(math.nan, "NaN"), (math.inf, "infinite"), (-math.inf, "infinite"), (-0.01, "leave"), (1.01, "leave")],
)
def test_one_impossible_pixel_is_refused(budget: str | None, value: float, says: str) -> None:
    crafted = as_float(CLEAN)
    crafted[3, 1, 2, 5] = value
    with pytest.raises(BudgetExceeded, match=says):
        release(CLEAN, crafted, Budget.parse(budget) if budget else None)


@pytest.mark.parametrize("shape", [(5, 3, 8, 8), (6, 3, 8, 7), (6, 1, 8, 8), (6, 192), (1, 3, 8, 8)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(BudgetExceeded) as caught:
        release(CLEAN, torch.full(shape, 0.5), None)
    assert str(list(shape)) in str(caught.value)
    assert str([6, 3, 8, 8]) in str(caught.value)


@pytest.mark.parametrize("levels", [0, 1, 8, 254])
def test_one_pixel_one_level_beyond_a_linf_budget_is_refused(levels: int) -> None:
    clean = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    crafted = torch.full((2, 3, 4, 4), levels / 255)
    crafted[1, 2, 3, 0] = (levels + 1) / 255
    with pytest.raises(BudgetExceeded, match=f"moved by {levels + 1} levels"):
        release(clean, crafted, Budget.parse(f"linf-{levels}"))


def test_one_image_beyond_an_l2_ball_is_refused() -> None:
    clean = torch.full((3, 3, 8, 8), 128, dtype=torch.uint8)
    crafted = as_float(clean)
    crafted[2] += 1.01 / math.sqrt(crafted[2].numel())
    with pytest.raises(BudgetExceeded, match=r"l2 norm 1\.01"):
        release(clean, crafted, Budget.parse("l2-1"))
    assert release(clean, crafted, Budget.parse("l2-1.02")).dtype == torch.uint8


def changed_pixels(clean: Tensor, released: Tensor) -> list[int]:
    """Count positions one by one."""
    return [
        sum(
            any(int(a[channel, row, column]) != int(b[channel, row, column]) for channel in range(3))
            for row in range(a.shape[1])
            for column in range(a.shape[2])
        )
        for a, b in zip(clean, released, strict=True)
    ]


@settings(derandomize=True, deadline=None, max_examples=30)
@given(size=st.integers(0, 70), seed=st.integers(0, 2**31), clean=st.sampled_from([CLEAN, GREY]))
def test_bytes_stay_in_every_l0_ball_and_use_it_up(size: int, seed: int, clean: Tensor) -> None:
    budget = Budget(norm="l0", size=size)
    counts = changed_pixels(clean, release(clean, perturbed(budget, seed, clean), budget))
    assert max(counts) <= size
    assert clean is CLEAN or set(counts) == {min(size, 64)}


@settings(derandomize=True, deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**31))
def test_without_a_bound_every_image_is_released_as_it_is(seed: int) -> None:
    crafted = torch.rand(CLEAN.shape, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(release(CLEAN, crafted, Budget.parse("unbounded")), (crafted * 255).round().to(torch.uint8))


def test_one_pixel_beyond_an_l0_budget_is_refused() -> None:
    crafted = as_float(GREY)
    crafted[4, 0, :2, :2] = 1.0
    crafted[4, 2, 0, 0] = 0.0  # the position counts once
    assert changed_pixels(GREY, release(GREY, crafted, Budget.parse("l0-4"))) == [0, 0, 0, 0, 4, 0]
    crafted[4, 1, 7, 7] += 1 / 255
    with pytest.raises(BudgetExceeded, match="a released image has 5 changed pixels, the budget is l0-4"):
        release(GREY, crafted, Budget.parse("l0-4"))


def test_what_rounding_takes_back_is_no_changed_pixel() -> None:
    crafted = (as_float(GREY) + 0.4 / 255).clamp(0, 1)
    assert torch.equal(release(GREY, crafted, Budget.parse("l0-0")), GREY)


@pytest.mark.parametrize("budget", ["l0-3", "l2-1"])
def test_cutting_to_bytes_is_no_way_out_of_a_budget(budget: str) -> None:
    with pytest.raises(BudgetExceeded, match=f"the budget is {budget}"):
        release(GREY, torch.ones(GREY.shape), Budget.parse(budget), "truncate")
