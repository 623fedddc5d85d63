"""The ball around an image: how it is written, projection onto it, the steepest step in it."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from bench.contracts.budget import Budget
from bench.core.errors import SepbenchError

exactly = settings(derandomize=True, deadline=None, max_examples=60)
budgets = st.one_of(
    st.integers(0, 255).map(lambda levels: Budget(norm="linf", size=levels)),
    st.floats(0.01, 5).map(lambda size: Budget(norm="l2", size=size)),
)
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
    ],
)
def test_a_budget_is_written_as_norm_and_size(text: str, norm: str, size: float, radius: float) -> None:
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
    ],
)
def test_anything_else_is_refused_in_one_sentence(text: str, says: str) -> None:
    with pytest.raises(SepbenchError) as caught:
        Budget.parse(text)
    assert says in str(caught.value)
    assert f"'{text}'" in str(caught.value)


def projected_by_definition(budget: Budget, clean: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Project pixel by pixel (linf), or image by image along the ray to its original (l2), then clip."""
    result = np.empty_like(moved)
    for n in range(len(clean)):
        length = math.sqrt(sum(float(d) ** 2 for d in (moved[n] - clean[n]).flat))
        for position in np.ndindex(clean.shape[1:]):
            original, value = float(clean[n][position]), float(moved[n][position])
            if budget.norm == "linf":
                value = min(max(value, original - budget.radius), original + budget.radius)
            elif length > budget.radius:
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
    order = math.inf if budget.norm == "linf" else 2
    assert float((once - clean).flatten(1).norm(order, dim=1).amax()) <= budget.radius + 1e-12
    torch.testing.assert_close(budget.project(clean, once), once, rtol=0, atol=1e-12)
    torch.testing.assert_close(budget.project(clean, clean), clean, rtol=0, atol=0)


@exactly
@given(budget=budgets, moved=arrays(np.float64, _SHAPE, elements=st.floats(0.2, 0.8)), seed=st.integers(0, 2**31))
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
