"""SEP-FA, SEP-FA-VR and their released switches against the algorithm boxes computed slowly, in double precision."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from slow_sep_fa import align_slowly, feature_gradient, means_of, reduce_variance_slowly
from small_networks import CPU, checkpoints, noise
from torch import Tensor

from bench.budget import Budget
from bench.method import METHODS, CraftContext, CraftData, Method
from methods._ensemble import Ensemble, FeatureAlignment, class_means

IMAGES = noise(12)
LABELS = torch.tensor([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 4])
CLEAN = IMAGES.double() / 255
BUDGET = Budget.parse("linf-4")
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
    parts = [DATA, *()]
    split = [CraftData(CLEAN[i : i + 5], LABELS[i : i + 5], 10, torch.arange(12)[i : i + 5]) for i in range(0, 12, 5)]
    for batches in (parts, split):
        torch.testing.assert_close(class_means(network, iter(batches)), slow, rtol=1e-9, atol=1e-12)


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


def test_sep_fa_follows_the_algorithm_box() -> None:
    method, context = prepared("sep-fa", 3, steps=3)
    fast, means = method.craft(DATA, BUDGET, context), slow_means(3)
    for position in (0, 5, 11):
        aligned = [rows[target_of(position)] for rows in means]
        slow = align_slowly(checkpoints(3), CLEAN[position], aligned, BUDGET.radius, 3)
        assert agree(fast[position], slow)


@pytest.mark.parametrize("last_means", [False, True])
def test_sep_fa_vr_follows_the_algorithm_box(last_means: bool) -> None:
    method, context = prepared("sep-fa-vr", 3, steps=2, inner_steps=4, last_means=last_means)
    fast, means = method.craft(DATA, BUDGET, context), slow_means(3)
    for position in (0, 5, 11):
        aligned = [rows[target_of(position)] for rows in means]
        inner = [aligned[-1]] * 3 if last_means else aligned
        draws = draws_of(context, 3, 2, 4)
        slow = reduce_variance_slowly(checkpoints(3), CLEAN[position], aligned, inner, BUDGET.radius, draws)
        assert agree(fast[position], slow)


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
        features = altered.features(CLEAN)  # one batch of 12: fewer than the released 128
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


def test_the_defaults_cost_900_passes_each() -> None:
    for name in ("sep", "sep-fa", "sep-fa-vr"):
        assert METHODS.get(name)().passes() == 900
