"""The ball around an image: how it is written, projection onto it, the steepest step in it."""

import math
from itertools import combinations
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError
from torch import Tensor

from bench.contracts.budget import Budget, Norm
from bench.core.errors import SepbenchError
from bench.core.norms import NORMS

exactly = settings(derandomize=True, deadline=None, max_examples=60)
budgets = st.one_of(
    st.integers(0, 255).map(lambda levels: Budget(norm="linf", size=levels)),
    st.floats(0.01, 5).map(lambda size: Budget(norm="l2", size=size)),
    st.integers(0, 7).map(lambda pixels: Budget(norm="l0", size=pixels)),
    st.just(Budget(norm="unbounded")),
)
balls = budgets.filter(lambda budget: budget.norm in ("linf", "l2"))
_SHAPE = (2, 3, 2, 3)
clean_images = arrays(np.uint8, _SHAPE).map(lambda levels: torch.from_numpy(levels).double() / 255)
moved_images = arrays(np.float64, _SHAPE, elements=st.floats(-2, 3, width=32)).map(torch.from_numpy)


@pytest.mark.parametrize(
    ("text", "norm", "size", "radius"),
    [
        ("linf-8", "linf", 8, 8 / 255),
        ("linf-0", "linf", 0, 0),
        ("linf-255", "linf", 255, 1),
        ("linf-8.0", "linf", 8, 8 / 255),
        ("l2-1", "l2", 1, 1),
        ("l2-1.304", "l2", 1.304, 1.304),
        ("l2-0.5", "l2", 0.5, 0.5),
        ("l0-0", "l0", 0, 1),
        ("l0-1", "l0", 1, 1),
        ("l0-1500000", "l0", 1_500_000, 1),
        ("unbounded", "unbounded", None, 1),
    ],
)
def test_a_budget_is_written_as_norm_and_size(text: str, norm: str, size: float | None, radius: float) -> None:
    budget = Budget.parse(text)
    assert (budget.norm, budget.size) == (norm, size)
    assert budget.radius == pytest.approx(radius, rel=1e-15)
    assert Budget.parse(str(budget)) == budget


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not a budget"),
        ("8", "is not a budget"),
        ("linf", "is not a budget"),
        ("linf8", "is not a budget"),
        ("linf-", "is not a budget"),
        ("linf-8/255", "is not a budget"),
        ("linf-x", "is not a budget"),
        ("linf-nan", "is not a budget"),
        ("l2-inf", "is not a budget"),
        ("l1-3", "is not a budget"),
        ("l2-1e3", "is not a budget"),
        (" linf-8", "is not a budget"),
        ("linf-8\n", "is not a budget"),
        ("linf-2.5", "not a whole number"),
        ("linf-256", "from 0 to 255"),
        ("linf--1", "negative"),
        ("l2--0.5", "negative"),
        ("l0--1", "negative"),
        ("l0-0.5", "not a whole number of pixels"),
        ("l0", "is not a budget"),
        ("unbounded-", "is not a budget"),
        ("unbounded-3", "is not a budget"),
        ("Unbounded", "is not a budget"),
    ],
)
def test_anything_else_is_refused_in_one_sentence(text: str, says: str) -> None:
    with pytest.raises(SepbenchError) as caught:
        Budget.parse(text)
    assert says in str(caught.value)
    assert f"'{text}'" in str(caught.value)


@pytest.mark.parametrize(("norm", "size"), [("linf", None), ("l2", None), ("l0", None), ("unbounded", 0), ("l1", 3)])
def test_a_norm_has_a_size_where_there_is_something_to_bound(norm: str, size: float | None) -> None:
    with pytest.raises(ValidationError):
        Budget.model_validate({"norm": norm, "size": size})


def farthest(clean: np.ndarray, moved: np.ndarray, count: int) -> set[tuple[int, int]]:
    """Return the positions of one image, [3, H, W], that moved farthest; of equal ones the first in reading order."""
    left = {
        (row, column): sum(
            (min(max(float(moved[channel, row, column]), 0.0), 1.0) - float(clean[channel, row, column])) ** 2
            for channel in range(3)
        )
        for row in range(clean.shape[1])
        for column in range(clean.shape[2])
    }
    chosen: set[tuple[int, int]] = set()
    while left and len(chosen) < count:
        best = next(place for place, distance in left.items() if distance == max(left.values()))
        chosen.add(best)
        del left[best]
    return chosen


def projected_by_definition(budget: Budget, clean: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Project by pixel (linf), along the ray to the original (l2), or put pixels back (l0); clip."""
    result = np.empty_like(moved)
    for n in range(len(clean)):
        length = math.sqrt(sum(float(d) ** 2 for d in (moved[n] - clean[n]).flat))
        changed = farthest(clean[n], moved[n], int(budget.size or 0)) if budget.norm == "l0" else set()
        for position in np.ndindex(clean.shape[1:]):
            original, value = float(clean[n][position]), float(moved[n][position])
            if budget.norm == "linf":
                value = min(max(value, original - budget.radius), original + budget.radius)
            elif budget.norm == "l0":
                value = value if position[1:] in changed else original
            elif budget.norm == "l2" and length > budget.radius:
                value = original + (value - original) * budget.radius / length
            result[n][position] = min(max(value, 0.0), 1.0)
    return result


@exactly
@given(budget=budgets, clean=clean_images, moved=moved_images)
def test_projection_is_that_of_the_definition(budget: Budget, clean: Tensor, moved: Tensor) -> None:
    expected = projected_by_definition(budget, clean.numpy(), moved.numpy())
    np.testing.assert_allclose(budget.project(clean, moved).numpy(), expected, rtol=0, atol=1e-12)


@exactly
@given(budget=budgets, clean=clean_images, moved=moved_images)
def test_a_projected_image_is_in_the_ball_and_projecting_again_leaves_it(
    budget: Budget, clean: Tensor, moved: Tensor
) -> None:
    once = budget.project(clean, moved)
    assert 0 <= float(once.amin()) <= float(once.amax()) <= 1
    if budget.norm == "l0":
        assert int((once != clean).any(1).flatten(1).sum(1).amax()) <= (budget.size or 0)
    elif budget.norm != "unbounded":
        order = math.inf if budget.norm == "linf" else 2
        assert float((once - clean).flatten(1).norm(order, dim=1).amax()) <= budget.radius + 1e-12
    torch.testing.assert_close(budget.project(clean, once), once, rtol=0, atol=1e-12)
    torch.testing.assert_close(budget.project(clean, clean), clean, rtol=0, atol=0)


@exactly
@given(budget=balls, moved=arrays(np.float64, _SHAPE, elements=st.floats(0.2, 0.8)), seed=st.integers(0, 2**31))
def test_no_other_point_of_the_ball_is_nearer_than_the_projection(budget: Budget, moved: np.ndarray, seed: int) -> None:
    # Around mid-grey with a radius below 1/2 the ball is all in [0, 1], and clipping has no part.
    if budget.radius > 0.4:
        budget = Budget(norm=budget.norm, size=10 if budget.norm == "linf" else 0.3)
    clean, images = torch.full(_SHAPE, 0.5, dtype=torch.float64), torch.from_numpy(moved)
    distance = (images - budget.project(clean, images)).flatten(1).norm(dim=1)
    directions = torch.randn(20, *_SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    order = math.inf if budget.norm == "linf" else 2
    for direction in directions:
        length = direction.flatten(1).norm(order, dim=1)[:, None, None, None]
        other = clean + budget.radius * direction / length
        assert bool(((images - other).flatten(1).norm(dim=1) >= distance - 1e-12).all())


@pytest.mark.parametrize("budget", ["linf-8", "l2-1"])
def test_no_unit_step_climbs_more_than_the_direction(budget: str) -> None:
    ball = Budget.parse(budget)
    order = math.inf if ball.norm == "linf" else 2
    generator = torch.Generator().manual_seed(0)
    gradient = torch.randn(3, 3, 4, 4, generator=generator, dtype=torch.float64)
    direction = ball.direction(gradient)
    torch.testing.assert_close(direction.flatten(1).norm(order, dim=1), torch.ones(3, dtype=torch.float64))
    climbed = (gradient * direction).flatten(1).sum(1)
    for _ in range(200):
        step = torch.randn(3, 3, 4, 4, generator=generator, dtype=torch.float64)
        step /= step.flatten(1).norm(order, dim=1)[:, None, None, None]
        assert bool(((gradient * step).flatten(1).sum(1) <= climbed).all())


@pytest.mark.parametrize("budget", ["linf-8", "l2-1"])
def test_where_there_is_no_gradient_there_is_no_step(budget: str) -> None:
    gradient = torch.zeros(2, 3, 4, 4)
    gradient[1] = 1e-12
    direction = Budget.parse(budget).direction(gradient)
    assert float(direction[0].abs().amax()) == 0
    assert bool((direction[1] > 0).all())


def test_of_pixels_that_moved_alike_the_first_stay_moved() -> None:
    clean = torch.full((2, 3, 2, 3), 0.5)
    once = Budget.parse("l0-2").project(clean, torch.ones(2, 3, 2, 3))
    assert torch.equal((once != clean).any(1), torch.tensor([[[True, True, False], [False] * 3]] * 2))


def test_how_far_a_pixel_moved_counts_all_channels_and_only_what_stays_in_range() -> None:
    clean = torch.zeros(1, 3, 1, 4)
    moved = clean.clone()
    moved[0, 0, 0, 0] = 9  # is 1 once it is clipped
    moved[0, :, 0, 1] = 0.7
    moved[0, :, 0, 2] = -5  # is not moved once it is clipped
    moved[0, 0, 0, 3] = 0.9
    assert Budget.parse("l0-1").project(clean, moved)[0, :, 0].tolist() == [[0, tenths(7), 0, 0]] * 3
    two = Budget.parse("l0-2").project(clean, moved)
    assert (two != 0).any(1).flatten().tolist() == [True, True, False, False]


def tenths(count: int) -> float:
    return float(torch.tensor(count / 10))


@pytest.mark.parametrize("size", [0, 1, 5, 12, 100])
def test_no_step_of_as_many_pixels_climbs_more_than_the_direction(size: int) -> None:
    gradient = torch.randn(2, 3, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    direction = Budget(norm="l0", size=size).direction(gradient)
    assert int((direction != 0).any(1).flatten(1).sum(1).amax()) == min(size, 12)
    assert float(direction.abs().amax()) == (size > 0)
    climbed = (gradient * direction).flatten(1).sum(1)
    gains = gradient.abs().sum(1).flatten(1)  # a position climbs most where every channel steps by 1
    for n, image in enumerate(gains.tolist()):
        best = max(sum(chosen) for chosen in combinations(image, min(size, 12)))
        assert float(climbed[n]) == pytest.approx(best, abs=1e-12)


def test_without_a_bound_only_the_range_of_pixels_is_kept() -> None:
    free, clean = Budget.parse("unbounded"), torch.rand(1, 3, 4, 4)
    moved = torch.linspace(-1, 2, 48).view(1, 3, 4, 4)
    assert torch.equal(free.project(clean, moved), moved.clamp(0, 1))
    assert torch.equal(free.direction(moved), moved.sign())


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("linf-8", "L∞ ≤ 8/255"),
        ("l2-1.304", "L2 ≤ 1.304"),
        ("l0-1", "L0 ≤ 1 pixel"),
        ("l0-16", "L0 ≤ 16 pixels"),
        ("unbounded", "unbounded"),
    ],
)
def test_people_read_a_budget_with_its_sign(text: str, title: str) -> None:
    budget = Budget.parse(text)
    assert NORMS[budget.norm].title(budget.size or 0) == title


@pytest.mark.parametrize("norm", NORMS)
def test_the_budget_that_a_message_advises_is_one(norm: str) -> None:
    assert Budget.parse(NORMS[norm].example).norm == norm
    assert set(NORMS) == set(get_args(Norm)), "the table of norms and the type name the same"


@pytest.mark.parametrize(
    ("text", "meant"),
    [("inf-8", "linf-8"), ("linf8", "linf-8"), ("Linf-8", "linf-8"), ("l2=1.5", "l2-1.5"), ("unbound", "unbounded")],
)
def test_a_budget_that_is_nearly_written_right_is_named(text: str, meant: str) -> None:
    with pytest.raises(SepbenchError) as refused:
        Budget.parse(text)
    assert str(refused.value) == f"'{text}' is not a budget: did you mean {meant}?"
    Budget.parse(meant)
