"""SEP-FA, SEP-FA-VR and their released switches against the algorithm boxes computed slowly, in double precision."""

import gc
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.contracts.budget import Budget
from bench.contracts.context import CraftContext
from bench.contracts.method import (
    METHODS,
    CraftData,
    Method,
)
from bench.engine.ensemble import Ensemble, FeatureAlignment, class_means
from tests.making.images import noise
from tests.making.networks import CPU, checkpoints
from tests.making.slow_sep_fa import align_slowly, feature_gradient, means_of, reduce_variance_slowly

IMAGES = noise(12)
LABELS = torch.tensor([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 4])
CLEAN = IMAGES.double() / 255
DATA = CraftData(CLEAN, LABELS, 10, torch.arange(12))


def prepared(name: str, count: int, **params: Any) -> tuple[Method, CraftContext]:
    kind = METHODS.get(name)
    method = kind(kind.Params.model_validate({"checkpoints": count, **params}))
    context = CraftContext([[deepcopy(network) for network in checkpoints(count)]], seed=5, device=CPU, images=12)
    method.prepare(lambda: iter([DATA]), context)
    return method, context


def slow_means(count: int) -> list[list[Tensor]]:
    return [means_of(network, CLEAN, LABELS, 10) for network in checkpoints(count)]


def target_of(position: int) -> int:
    return (int(LABELS[position]) + 5) % 10


def draws_of(context: CraftContext, count: int, steps: int, inner: int) -> list[list[int]]:
    drawn: list[list[int]] = torch.randint(count, (steps, inner), generator=context.generator("checkpoints")).tolist()
    return drawn


def agree(fast: Tensor, slow: Tensor) -> bool:
    """Tell whether all but a few pixels, whose gradients were within rounding of zero, are the same."""
    return float(((fast - slow).abs() > 1e-9).double().mean()) < 2e-3


def test_class_means_are_those_of_a_plain_loop_whatever_the_batches() -> None:
    (network,) = checkpoints(1)
    slow = torch.stack(means_of(network, CLEAN, LABELS, 10))
    for size in (1, 5, 12):
        parts = zip(*(tensor.split(size) for tensor in (CLEAN, LABELS, DATA.index)), strict=True)
        fast = class_means(network, (CraftData(x, y, 10, index) for x, y, index in parts))
        torch.testing.assert_close(fast, slow, rtol=1e-9, atol=1e-12)


def test_a_class_without_images_has_a_mean_of_zero() -> None:
    means = class_means(checkpoints(1)[0], iter([CraftData(CLEAN, LABELS, 11, DATA.index)]))
    assert not bool(means[10].any())
    assert bool(means[:10].any(1).all())


def test_class_means_hold_no_more_of_many_parts_than_of_few() -> None:
    alive = []
    gc.freeze()  # what was there before is not looked through each time

    def parts() -> Iterator[CraftData]:
        for _ in range(8):
            alive.append(sum(issubclass(type(thing), Tensor) for thing in gc.get_objects()))
            yield DATA

    try:
        class_means(checkpoints(1)[0], parts())
    finally:
        gc.unfreeze()
    assert len(set(alive[2:])) == 1, alive


def test_the_alignment_gradient_is_the_mean_over_checkpoints() -> None:
    networks, means = checkpoints(3), slow_means(3)
    loss = FeatureAlignment([torch.stack(rows) for rows in means])
    targets = (LABELS + 5) % 10
    fast = Ensemble(networks, loss).mean_gradient(CLEAN, targets)
    for position in (0, 7, 11):
        y = int(targets[position])
        slow = torch.stack(
            [feature_gradient(network, CLEAN[position], rows[y]) for network, rows in zip(networks, means, strict=True)]
        ).mean(0)
        torch.testing.assert_close(fast[position], slow, rtol=1e-8, atol=1e-13)


BUDGETS = ["linf-4", "l2-1", "l2-0.25"]
WHOLE = ([12], 256)
SPLITS = [WHOLE, ([12], 1), ([12], 7), ([1] * 12, 256), ([5, 7], 256), ([3, 1, 8], 2)]
"""Sizes of the shards and of the micro-batches that they are crafted in."""


def crafted_in(method: Method, budget: Budget, context: CraftContext, shards: list[int], batch: int) -> Tensor:
    method.ensemble.micro_batches.size = batch  # type: ignore[attr-defined]
    parts = zip(*(tensor.split(shards) for tensor in (CLEAN, LABELS, DATA.index)), strict=True)
    return torch.cat([method.craft(CraftData(x, y, 10, index), budget, context) for x, y, index in parts])


def step_of(budget: Budget, steps: int) -> float:
    return 1 / 255 if budget.norm == "linf" else 2.5 * budget.radius / steps


@cache
def aligned_slowly(budget: Budget, position: int) -> Tensor:
    means = [rows[target_of(position)] for rows in slow_means(3)]
    ball = (budget.norm, budget.radius, step_of(budget, 3))
    return align_slowly(checkpoints(3), CLEAN[position], means, *ball, [range(3)] * 3)


@cache
def variance_reduced_slowly(budget: Budget, position: int, last_means: bool) -> Tensor:
    means = [rows[target_of(position)] for rows in slow_means(3)]
    inner = [means[-1]] * 3 if last_means else means
    ball = (budget.norm, budget.radius, step_of(budget, 2))
    draws = draws_of(CraftContext([], seed=5, device=CPU), 3, 2, 4)
    return reduce_variance_slowly(checkpoints(3), CLEAN[position], means, inner, *ball, draws)


@pytest.mark.parametrize(("shards", "batch"), SPLITS, ids=str)
@pytest.mark.parametrize("budget", BUDGETS)
def test_sep_fa_follows_the_algorithm_box(budget: str, shards: list[int], batch: int) -> None:
    method, context = prepared("sep-fa", 3, steps=3)
    ball = Budget.parse(budget)
    fast = crafted_in(method, ball, context, shards, batch)
    for position in (0, 5, 11):
        assert agree(fast[position], aligned_slowly(ball, position))


@pytest.mark.parametrize(("shards", "batch"), SPLITS, ids=str)
@pytest.mark.parametrize("budget", BUDGETS)
def test_sep_fa_vr_follows_the_algorithm_box(budget: str, shards: list[int], batch: int) -> None:
    method, context = prepared("sep-fa-vr", 3, steps=2, inner_steps=4)
    ball = Budget.parse(budget)
    fast = crafted_in(method, ball, context, shards, batch)
    for position in (0, 5, 11):
        assert agree(fast[position], variance_reduced_slowly(ball, position, last_means=False))


@pytest.mark.parametrize("budget", BUDGETS)
def test_sep_fa_vr_as_released_aligns_inner_steps_to_the_last_means(budget: str) -> None:
    method, context = prepared("sep-fa-vr", 3, steps=2, inner_steps=4, last_means=True)
    ball = Budget.parse(budget)
    fast = crafted_in(method, ball, context, *WHOLE)
    for position in (0, 5, 11):
        assert agree(fast[position], variance_reduced_slowly(ball, position, last_means=True))
        assert not agree(fast[position], variance_reduced_slowly(ball, position, last_means=False))


def first_inner_terms(last_means: bool) -> tuple[Tensor, Tensor]:
    """Return the average over draws of an inner step's term at v = x', and the mean gradient there."""
    method, _ = prepared("sep-fa-vr", 4, last_means=last_means)
    targets = (LABELS + 5) % 10
    gradients = torch.stack([method.ensemble.gradient(index, CLEAN, targets) for index in range(4)])  # type: ignore[attr-defined]
    mean = gradients.mean(0)
    terms = [method.inner_gradient(drawn, CLEAN, targets) - (gradients[drawn] - mean) for drawn in range(4)]  # type: ignore[attr-defined]
    return torch.stack(terms).mean(0), mean


def test_variance_reduction_is_unbiased_at_the_outer_iterate() -> None:
    average, mean = first_inner_terms(last_means=False)
    torch.testing.assert_close(average, mean, rtol=1e-9, atol=1e-14)


def test_aligning_to_the_last_means_biases_the_estimator() -> None:
    average, mean = first_inner_terms(last_means=True)
    assert float((average - mean).abs().max()) > 0.05 * float(mean.abs().max())


def test_train_mode_means_come_from_batch_statistics_and_alter_the_first_checkpoint_for_one_step() -> None:
    method, _ = prepared("sep-fa", 2, train_mode_means=True)
    altered = deepcopy(checkpoints(2)[0]).train()
    with torch.no_grad():
        features = altered.features(CLEAN)  # one batch of 12: fewer than the released 5,000
    expected = torch.stack([features[y == LABELS].mean(0) for y in range(10)])
    means = method.ensemble.loss.means  # type: ignore[attr-defined]
    torch.testing.assert_close(means[0], expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(means[1], torch.stack(slow_means(2)[1]), rtol=1e-9, atol=1e-12)
    targets = (LABELS + 5) % 10
    altered.eval()
    for step, first in ((0, altered), (1, checkpoints(2)[0])):
        fast = method.gradient(step, CLEAN, targets)  # type: ignore[attr-defined]
        pair = zip((first, checkpoints(2)[1]), means, strict=True)
        slow = torch.stack([feature_gradient(network, CLEAN[3], rows[int(targets[3])]) for network, rows in pair]).mean(
            0
        )
        torch.testing.assert_close(fast[3], slow, rtol=1e-8, atol=1e-13)


def test_train_mode_means_are_of_batches_of_5000_images_whatever_shards_they_come_in() -> None:
    images = torch.randint(256, (12_000, 3, 4, 4), generator=torch.Generator().manual_seed(0)).float() / 255
    labels = torch.arange(12_000) % 10
    (network,) = (deepcopy(one).float() for one in checkpoints(1))
    sizes: list[int] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if module.training:
            sizes.append(len(inputs[0]))

    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    norms[0].register_forward_pre_hook(note)
    parts = [
        CraftData(x, y, 10, torch.arange(0)) for x, y in zip(images.split(1_024), labels.split(1_024), strict=True)
    ]
    kind = METHODS.get("sep-fa")
    method = kind(kind.Params.model_validate({"checkpoints": 1, "train_mode_means": True}))
    method.prepare(lambda: iter(parts), CraftContext([[network]], seed=5, device=CPU, images=12_000))
    assert sizes == [5_000, 5_000, 2_000]
    altered = deepcopy(network).train()
    with torch.no_grad():
        features = torch.cat([altered.features(batch) for batch in images.split(5_000)])
    expected = torch.stack([features[labels == y].mean(0) for y in range(10)])
    torch.testing.assert_close(method.ensemble.loss.means[0], expected, rtol=1e-4, atol=1e-6)  # type: ignore[attr-defined]


def test_the_defaults_cost_900_passes_each() -> None:
    for name in ("sep", "sep-fa", "sep-fa-vr"):
        assert METHODS.get(name)().passes() == 900
