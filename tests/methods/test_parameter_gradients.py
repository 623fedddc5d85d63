"""TensorClog and gradient alignment against one image at a time and differences of weights, in double precision."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.checks.memory_keeper import MemoryKeeper
from bench.contracts.budget import Budget
from bench.contracts.context import CraftContext
from bench.contracts.method import METHODS, CraftData, Method
from bench.contracts.network import Classifier, Network
from bench.core.errors import Stopped
from methods._parameter_gradients import ParameterGradient
from methods.gradient_alignment import reverse_cross_entropy
from methods.tensorclog import norm
from tests.making.images import noise
from tests.making.networks import CPU, checkpoints, gradients_of
from tests.making.slow_sep import gradient_of
from tests.making.slow_views import scale, seen_from, within
from tests.making.smooth import smooth_network

SIDE, COUNT, BATCH, STEPS, RESTARTS = 8, 5, 3, 3, 2
IMAGES, LABELS = noise(COUNT, SIDE).double() / 255, torch.tensor([0, 4, 9, 2, 4])
DATA = CraftData(IMAGES, LABELS, 10, torch.arange(COUNT))

CLOG: tuple[str, dict[str, Any]] = ("tensorclog", {})
REVERSE: tuple[str, dict[str, Any]] = ("gradient-alignment", {})
TARGET: tuple[str, dict[str, Any]] = ("gradient-alignment", {"target": "target-class", "shift": 3})
every_setting = pytest.mark.parametrize(("name", "params"), [CLOG, REVERSE, TARGET], ids=["clog", "reverse", "target"])


def context(network: Network) -> CraftContext:
    return CraftContext([[deepcopy(network)]], seed=0, device=CPU, images=COUNT)


def build(name: str, **params: Any) -> Method[Any]:
    return METHODS.get(name)(METHODS.get(name).Params.model_validate(params))


def crafted(name: str, network: Network, data: CraftData, budget: Budget, **params: Any) -> Tensor:
    method, ctx = build(name, **{"batch_size": BATCH, **params}), context(network)
    method.prepare(lambda: iter([data]), ctx)
    return method.craft(data, budget, ctx)


def log_p(network: nn.Module, image: Tensor) -> Tensor:
    logits: Tensor = network(image[None])[0]
    return logits - torch.log(torch.exp(logits).sum())


def own(network: nn.Module, image: Tensor, label: int) -> Tensor:
    return -log_p(network, image)[label]


def reverse(network: nn.Module, image: Tensor, label: int) -> Tensor:
    return -torch.log(1 - torch.exp(log_p(network, image)[label]))


def shifted(network: nn.Module, image: Tensor, label: int) -> Tensor:
    return own(network, image, (label + 3) % 10)


OneLoss = Callable[[nn.Module, Tensor, int], Tensor]

LOSSES: dict[tuple[str, bool], OneLoss | None] = {
    ("tensorclog", False): None,
    ("gradient-alignment", False): reverse,
    ("gradient-alignment", True): shifted,
}
"""Whose gradient is aligned to, by the method and whether it names its target; none where there is nothing to align."""


def of_weights(network: Network, images: list[Tensor], labels: list[int], loss: OneLoss) -> Tensor:
    """Return the gradient of all weights, the mean over images, one image at a time."""
    network = deepcopy(network)
    for image, label in zip(images, labels, strict=True):
        (loss(network, image, label) / len(images)).backward()
    return torch.cat([one.flatten() for one in gradients_of(network)])


def moved_by(network: Network, step: Tensor) -> Network:
    network = deepcopy(network)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(step[: weight.numel()].view_as(weight))
            step = step[weight.numel() :]
    return network


def of_pixels(network: Network, image: Tensor, label: int, slope: Tensor) -> Tensor:
    """Return how the product of the weights' gradient with a slope changes with the pixels.

    Derivatives may be taken in either order: it is how the pixels' gradient changes as weights move along the slope.
    """
    size, unit = 1e-5, slope / slope.norm()
    ahead, behind = (gradient_of([moved_by(network, sign * size * unit)], image, label).detach() for sign in (1, -1))
    changed: Tensor = (ahead - behind) / (2 * size) * slope.norm()
    return changed


def slope_and_value(gradient: Tensor, target: Tensor | None) -> tuple[Tensor, float]:
    """Return how what is to fall changes with the weights' gradient, and what it is."""
    if target is None:
        length = (gradient.square().sum() + 1e-12).sqrt()
        return gradient / length, float(length)
    cosine = gradient @ target / (gradient.norm() * target.norm())
    return cosine * gradient / gradient.norm() ** 2 - target / (gradient.norm() * target.norm()), float(1 - cosine)


def slowly(network: Network, budget: Budget, loss: OneLoss | None) -> Tensor:
    ctx, colour, length = context(network), network.mean[0, :, 0], 0.05 * budget.radius
    done: list[Tensor] = []
    for first in range(0, COUNT, BATCH):
        members = range(first, min(first + BATCH, COUNT))
        clean, labels = [IMAGES[i] for i in members], [int(LABELS[i]) for i in members]
        target = None if loss is None else of_weights(network, clean, labels, loss)
        ends: list[tuple[float, list[Tensor]]] = []
        for restart in range(RESTARTS):
            starts = [torch.randn(3, SIDE, SIDE, generator=ctx.generator("start", restart, i)) for i in members]
            size = scale(budget, 3 * SIDE * SIDE)
            moved = [within(x, x + size * start.double(), budget) for x, start in zip(clean, starts, strict=True)]
            for step in range(STEPS):
                views = torch.rand(COUNT, 3, generator=ctx.generator("augment", restart, step))
                matrices = [seen_from(views[i], SIDE) for i in members]
                seen = [
                    ((x.flatten(1) - colour) @ matrix.T + colour).view_as(x)
                    for x, matrix in zip(moved, matrices, strict=True)
                ]
                slope, _ = slope_and_value(of_weights(network, seen, labels, own), target)
                for i, matrix in enumerate(matrices):
                    gradient = of_pixels(network, seen[i], labels[i], slope) / len(seen)
                    gradient = (gradient.flatten(1) @ matrix).view_as(gradient)
                    direction = gradient.sign() if budget.norm == "linf" else gradient / gradient.norm()
                    moved[i] = within(clean[i], moved[i] - length * direction, budget)
            ends.append((slope_and_value(of_weights(network, moved, labels, own), target)[1], moved))
        done += min(ends, key=lambda end: end[0])[1]
    return torch.stack(done)


@every_setting
@pytest.mark.parametrize("budget", ["linf-8", "l2-1.0"])
def test_steps_are_those_of_the_published_loop(name: str, params: dict[str, Any], budget: str) -> None:
    network, ball = smooth_network(), Budget.parse(budget)
    fast = crafted(name, network, DATA, ball, steps=STEPS, restarts=RESTARTS, **params)
    torch.testing.assert_close(fast, slowly(network, ball, LOSSES[name, "target" in params]), rtol=0, atol=1e-7)


@every_setting
def test_the_norm_falls_and_the_cosine_rises_in_every_batch(name: str, params: dict[str, Any]) -> None:
    network = smooth_network()
    after = crafted(name, network, DATA, Budget.parse("linf-64"), steps=40, restarts=1, **params)
    loss = LOSSES[name, "target" in params]
    for part in (slice(0, BATCH), slice(BATCH, COUNT)):
        clean, found, labels = [*IMAGES[part]], [*after[part]], LABELS[part].tolist()
        target = None if loss is None else of_weights(network, clean, labels, loss)
        before, now = (
            slope_and_value(of_weights(network, images, labels, own), target)[1] for images in (clean, found)
        )
        assert now < 0.98 * before


@every_setting
def test_a_batch_is_moved_alike_whatever_else_there_is(name: str, params: dict[str, Any]) -> None:
    setting = {"steps": 2, "restarts": 2, **params}
    whole = crafted(name, checkpoints(1)[0], DATA, Budget.parse("linf-8"), **setting)
    for part in (slice(0, BATCH), slice(BATCH, COUNT)):
        alone = replace(DATA, x=IMAGES[part], y=LABELS[part], index=DATA.index[part])
        found = crafted(name, checkpoints(1)[0], alone, Budget.parse("linf-8"), **setting)
        torch.testing.assert_close(found, whole[part], rtol=0, atol=1e-9)


@every_setting
def test_an_image_depends_on_its_batch_unless_that_is_the_image_alone(name: str, params: dict[str, Any]) -> None:
    assert not METHODS.get(name).per_sample
    first = replace(DATA, x=IMAGES[:1], y=LABELS[:1], index=DATA.index[:1])

    def differs(size: int) -> bool:
        both = [
            crafted(name, checkpoints(1)[0], data, Budget.parse("l2-1"), steps=2, restarts=1, batch_size=size, **params)
            for data in (first, DATA)
        ]
        return not torch.allclose(both[0], both[1][:1], rtol=0, atol=1e-9)

    assert [differs(size) for size in (1, COUNT)] == [False, True]


def test_parts_of_a_batch_give_the_gradient_of_the_whole() -> None:
    network = checkpoints(1)[0]
    whole, parts = ParameterGradient(network), ParameterGradient(network, size=2)
    torch.testing.assert_close(parts.of(IMAGES, LABELS), whole.of(IMAGES, LABELS), rtol=1e-9, atol=1e-12)
    expected = whole.through(IMAGES, LABELS, norm)
    torch.testing.assert_close(parts.through(IMAGES, LABELS, norm), expected, rtol=1e-9, atol=1e-12)


def test_a_batch_that_memory_does_not_hold_is_taken_in_parts() -> None:
    network = smooth_network()
    expected = ParameterGradient(network).through(IMAGES, LABELS, norm)

    def run_out(module: nn.Module, inputs: tuple[Tensor]) -> None:
        if len(inputs[0]) > 2:
            raise torch.OutOfMemoryError

    network.classifier.register_forward_pre_hook(run_out)
    torch.testing.assert_close(
        ParameterGradient(network).through(IMAGES, LABELS, norm), expected, rtol=1e-9, atol=1e-12
    )


def test_a_gradient_that_has_vanished_moves_nothing() -> None:
    zero = torch.zeros(4, requires_grad=True)
    (slope,) = torch.autograd.grad(norm(zero), zero)
    assert slope.tolist() == [0] * 4


def test_reverse_cross_entropy_is_that_of_not_being_of_the_class() -> None:
    logits, classes = torch.randn(6, 10, dtype=torch.float64), torch.arange(6)
    others = 1 - logits.softmax(1)[torch.arange(6), classes]
    torch.testing.assert_close(reverse_cross_entropy(logits, classes), -others.log().sum())
    sure = 200 * F.one_hot(classes, 10).float()  # for which 1 - p is 0 in single precision
    assert float(reverse_cross_entropy(sure, classes)) == pytest.approx(6 * (200 - torch.log(torch.tensor(9.0))))


def test_attention_is_differentiated_twice() -> None:
    class Attentive(Classifier):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.head = nn.Linear(3, 4), nn.Linear(4, 10)

        def features(self, x: Tensor) -> Tensor:
            tokens = self.first(x.flatten(2).transpose(1, 2))[:, None]
            return F.scaled_dot_product_attention(tokens, tokens, tokens)[:, 0].mean(1)

    network = Network(Attentive(), torch.zeros(3), torch.ones(3)).double()
    assert bool(ParameterGradient(network).through(IMAGES, LABELS, norm).ne(0).any())


def test_the_network_that_is_given_stays_as_it_is() -> None:
    network = deepcopy(checkpoints(1)[0]).requires_grad_(False)
    ParameterGradient(network).through(IMAGES, LABELS, norm)
    assert not any(weight.requires_grad or weight.grad is not None for weight in network.parameters())


@every_setting
def test_a_run_that_is_stopped_after_each_batch_ends_with_the_same_images(name: str, params: dict[str, Any]) -> None:
    setting = {"steps": 2, "restarts": 2, "batch_size": 2, **params}
    undisturbed = crafted(name, checkpoints(1)[0], DATA, Budget.parse("linf-8"), **setting)
    method, keeper, shares = build(name, **setting), MemoryKeeper(), list[float]()

    def stop() -> None:
        raise Stopped("after a batch")

    for _ in range(3):
        ctx = replace(context(checkpoints(1)[0]), keeper=keeper, on_round=stop, on_step=shares.append)
        method.prepare(lambda: iter([DATA]), ctx)
        with pytest.raises(Stopped):
            method.craft(DATA, Budget.parse("linf-8"), ctx)
    assert torch.equal(method.craft(DATA, Budget.parse("linf-8"), ctx), undisturbed)
    assert shares == sorted(shares)
    assert [share in shares for share in (1 / 3, 2 / 3, 1.0)] == [True] * 3


def test_tensorclog_is_crafted_on_the_network_of_tap() -> None:
    for surrogate in ("published", "recipe"):
        assert build("tensorclog", surrogate=surrogate).needs() == build("tap", surrogate=surrogate).needs()


def test_the_defaults_cost_what_differentiating_twice_costs() -> None:
    assert build("tensorclog").passes() == 8 * (250 * 3 + 1)
    assert build("gradient-alignment").passes() == 1 + 250 * 3
