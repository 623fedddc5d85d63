"""NTGA: its kernel against quadrature and against wide networks, its steps against finite differences in numpy."""

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy
import torch
from torch import Tensor, nn

from bench.checks.memory_keeper import MemoryKeeper
from bench.contracts.budget import Budget
from bench.contracts.context import CraftContext
from bench.contracts.method import CraftData
from bench.core.errors import SepbenchError, Stopped
from methods._tangent_kernel import WideNetwork, descended
from methods.ntga import NTGA, NTGAParams
from tests.making.images import noise, seeded
from tests.making.networks import CPU

NETWORK = WideNetwork(layers=5, weight_variance=1.76, bias_variance=0.18)


def rows(count: int, length: int = 12, seed: int = 0) -> Tensor:
    return torch.rand(count, length, generator=seeded(seed), dtype=torch.float64)


def kernel_by_quadrature(x: np.ndarray, z: np.ndarray) -> float:
    """Return the kernel of two rows by the definition of its recursion, expectations summed over 100 x 100 points."""
    points, weights = np.polynomial.hermite_e.hermegauss(100)
    weights = weights / weights.sum()

    def layer(moment: float) -> float:
        return 1.76 * moment + 0.18

    def expected(function: Any, a: float, b: float, c: float) -> float:
        """Return E[f(u) f(v)] of a normal u and v with variances a and b and covariance c."""
        u = math.sqrt(a) * points[:, None]
        v = c / math.sqrt(a) * points[:, None] + math.sqrt(max(b - c * c / a, 0.0)) * points[None, :]
        return float((weights[:, None] * weights[None, :] * function(u) * function(v)).sum())

    def slope(u: np.ndarray) -> np.ndarray:
        return np.asarray(2 / math.sqrt(math.pi) * np.exp(-(u**2)))

    a, b, c = (layer(float(one @ other) / len(x)) for one, other in ((x, x), (z, z), (x, z)))
    tangent = c
    for _ in range(5):
        of_slope = expected(slope, a, b, c)
        a, b, c = (layer(expected(scipy.special.erf, *three)) for three in ((a, a, a), (b, b, b), (a, b, c)))
        tangent = c + 1.76 * of_slope * tangent
    return tangent


def test_the_kernel_is_the_recursion_of_expectations() -> None:
    x, z = rows(3), rows(2, seed=1)
    expected = [[kernel_by_quadrature(one.numpy(), other.numpy()) for other in z] for one in x]
    torch.testing.assert_close(NETWORK.kernel(x, z), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-6)


def test_the_kernel_is_that_of_wide_random_networks() -> None:
    x, width, draws = rows(3), 512, 40
    total = torch.zeros(3, 3, dtype=torch.float64)
    for draw in range(draws):
        sizes = [12, *[width] * 5, 1]
        generator = seeded(draw)
        drawn = [
            [torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in ((o, i), (o,))]
            for i, o in itertools.pairwise(sizes)
        ]
        gradients = []
        for row in x:
            out = row
            for index, (weight, bias) in enumerate(drawn):
                out = torch.erf(out) if index else out
                out = math.sqrt(1.76 / len(out)) * weight @ out + math.sqrt(0.18) * bias
            found = torch.autograd.grad(out.sum(), [one for pair in drawn for one in pair])
            gradients.append(nn.utils.parameters_to_vector(found))
        stacked = torch.stack(gradients)
        total += stacked @ stacked.T / draws
    torch.testing.assert_close(NETWORK.kernel(x, x), total, rtol=0.05, atol=0)


def test_weights_are_where_gradient_descent_arrives() -> None:
    x, labels = rows(6), torch.eye(3, dtype=torch.float64)[[0, 1, 2, 0, 1, 1]]
    kernel = NETWORK.kernel(x, x) + 1e-3 * torch.eye(6, dtype=torch.float64)
    predicted, weights, rate = torch.zeros_like(labels), torch.zeros_like(labels), 1e-3
    for _ in range(20_000):  # a time of 20
        weights += rate * (labels - predicted) / 18  # the mean is over 6 images and 3 classes
        predicted = kernel @ weights
    torch.testing.assert_close(descended(kernel, labels, 20.0), weights, rtol=0, atol=2e-3)
    late = descended(kernel, labels, 1e9)
    torch.testing.assert_close(kernel @ late, labels, rtol=0, atol=1e-8)


SIDE, COUNT, CLASSES = 3, 10, 3
IMAGES, LABELS = noise(COUNT, SIDE).double() / 255, torch.arange(COUNT) % CLASSES


def context() -> CraftContext:
    return CraftContext([], seed=2, device=CPU, images=COUNT)


def crafted(budget: str, images: Tensor = IMAGES, ctx: CraftContext | None = None, **params: Any) -> Tensor:
    data = CraftData(images, LABELS[: len(images)], CLASSES, torch.arange(len(images)))
    return NTGA(NTGAParams.model_validate(params)).craft(data, Budget.parse(budget), ctx or context())


def loss_in_numpy(block: np.ndarray, y: np.ndarray, validation: np.ndarray, labels: np.ndarray, t: float) -> float:
    def kernel(x: np.ndarray, z: np.ndarray) -> np.ndarray:
        c, a, b = (1.76 * m / x.shape[1] + 0.18 for m in (x @ z.T, (x * x).sum(1)[:, None], (z * z).sum(1)[None]))
        tangent = c
        for _ in range(5):
            scale = (1 + 2 * a) * (1 + 2 * b)
            slope = 4 / np.pi / np.sqrt(scale - 4 * c * c)
            c = 1.76 * 2 / np.pi * np.arcsin(2 * c / np.sqrt(scale)) + 0.18
            a, b = (1.76 * 2 / np.pi * np.arcsin(2 * v / (1 + 2 * v)) + 0.18 for v in (a, b))
            tangent = c + 1.76 * slope * tangent
        return np.asarray(tangent)

    own = kernel(block, block)
    own = own + 1e-4 * np.trace(own) / len(own) * np.eye(len(own))
    values, vectors = np.linalg.eigh(own)
    learnt = vectors @ np.diag((1 - np.exp(-t * values / (len(own) * CLASSES))) / values) @ vectors.T
    logits = kernel(validation, block) @ learnt @ np.eye(CLASSES)[y]
    return float((scipy.special.logsumexp(logits, 1) - logits[np.arange(len(labels)), labels]).sum())


def slowly(budget: Budget, steps: int, length: float, t: float) -> tuple[Tensor, Tensor]:
    """Return the images, and the smallest share that a gradient had of its image's largest, over the steps."""
    order = torch.randperm(COUNT, generator=context().generator("order")).tolist()
    others, share = order[:8], order[8:]  # a fifth of ten
    flat, y = IMAGES.flatten(1).numpy(), LABELS.numpy()
    protected, clear = flat.copy(), np.full_like(flat, np.inf)
    for block, validation in ((others[:4], share), (others[4:], share), (share, others[:2])):
        moved = flat[block].copy()
        for _ in range(steps):
            gradient = np.zeros_like(moved)
            for place in np.ndindex(*moved.shape):
                sides = []
                for by in (1e-5, -1e-5):
                    other = moved.copy()
                    other[place] += by
                    sides.append(loss_in_numpy(other, y[block], flat[validation], y[validation], t))
                gradient[place] = (sides[0] - sides[1]) / 2e-5
            clear[block] = np.minimum(clear[block], np.abs(gradient) / np.abs(gradient).max())
            moved = moved + length * np.sign(gradient)
            moved = np.clip(np.clip(moved, flat[block] - budget.radius, flat[block] + budget.radius), 0, 1)
        protected[block] = moved
    return torch.from_numpy(protected).view_as(IMAGES), torch.from_numpy(clear).view_as(IMAGES)


@pytest.mark.parametrize("t", [1.0, 64.0])
def test_blocks_climb_the_loss_of_the_images_that_they_are_validated_on(t: float) -> None:
    budget = Budget.parse("linf-8")
    slow, clear = slowly(budget, steps=2, length=1.1 * budget.radius / 2, t=t)
    found = crafted("linf-8", steps=2, block=4, t=t)
    certain = clear > 1e-5  # the sign of a smaller gradient is within the error of the differences
    assert float(certain.double().mean()) > 0.98
    torch.testing.assert_close(found[certain], slow[certain], rtol=0, atol=1e-12)


def test_as_released_the_budget_is_spent_in_one_step_from_the_clean_images() -> None:
    budget = Budget.parse("linf-8")
    slow, clear = slowly(budget, steps=1, length=budget.radius, t=64.0)
    found = crafted("linf-8", one_step=True, block=4)
    torch.testing.assert_close(found[clear > 1e-5], slow[clear > 1e-5], rtol=0, atol=1e-12)


def test_what_a_wide_network_learns_from_the_images_is_wrong() -> None:
    images = torch.zeros(40, 3, 4, 4, dtype=torch.float64)
    labels = torch.arange(40) % 4
    for index, label in enumerate(labels.tolist()):
        images[index, :, label] = 0.1
    images = (0.4 + images + 0.05 * torch.randn(images.shape, generator=seeded(1), dtype=torch.float64)).clamp(0, 1)
    data = CraftData(images, labels, 4, torch.arange(40))
    protected = NTGA(NTGAParams(validation=0.5)).craft(data, Budget.parse("linf-16"), context())
    accuracy = []
    for learnt in (images, protected):
        order = torch.randperm(40, generator=context().generator("order"))
        train, test = order[:20], order[20:]
        kernel = NETWORK.kernel(learnt[train].flatten(1), learnt[train].flatten(1))
        kernel += 1e-4 * kernel.diagonal().mean() * torch.eye(20, dtype=torch.float64)
        weights = descended(kernel, torch.eye(4, dtype=torch.float64)[labels[train]], 64.0)
        logits = NETWORK.kernel(images[test].flatten(1), learnt[train].flatten(1)) @ weights
        accuracy.append(float((logits.argmax(1) == labels[test]).double().mean()))
    assert accuracy[0] > 0.9
    assert accuracy[1] < 0.5


@pytest.mark.parametrize("count", [2, 3, 7, 10])
def test_every_image_is_protected_in_its_place(count: int) -> None:
    moved = (crafted("linf-8", IMAGES[:count], steps=2, block=4) - IMAGES[:count]).abs().flatten(1).amax(1)
    assert bool((moved > 7.9 / 255).all())
    assert bool((moved < 8.1 / 255).all())


def test_one_that_was_stopped_after_every_block_ends_with_the_same_images() -> None:
    keeper, shares, steps = MemoryKeeper(), list[float](), dict[str, Any](steps=2, block=4)

    def stop() -> None:
        raise Stopped("after a block")

    ctx = replace(context(), keeper=keeper, on_round=stop, on_step=shares.append)
    for _ in range(3):
        with pytest.raises(Stopped):
            crafted("linf-8", ctx=ctx, **steps)
    assert shares == sorted(shares)
    assert sorted(set(shares)) == pytest.approx([sixth / 6 for sixth in range(1, 7)])
    assert torch.equal(crafted("linf-8", ctx=ctx, **steps), crafted("linf-8", **steps))
    assert len(shares) == 3 * 3, "the fourth call has nothing left to do"


def test_images_that_are_alike_have_gradients() -> None:
    same = torch.full((6, 3, SIDE, SIDE), 0.5, dtype=torch.float64)
    assert bool(crafted("l2-1.0", same, steps=2).isfinite().all())


def test_one_image_has_no_other_to_be_validated_on() -> None:
    with pytest.raises(SepbenchError, match="there is only one: protect at least two"):
        crafted("linf-8", IMAGES[:1])
