"""DeepConfuse and GUE against loops that write every update out, in double precision on a classifier without kinks."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.checks.inputs import digits, small_params
from bench.checks.memory_keeper import MemoryKeeper
from bench.checks.of_methods import Case, released
from bench.contracts.budget import Budget
from bench.contracts.context import CraftContext
from bench.contracts.method import METHODS, CraftData
from bench.contracts.network import ARCHITECTURES, build_network
from bench.core.errors import SepbenchError
from bench.core.seeds import derive
from bench.engine.step import Diverged
from methods._unet import UNet
from tests.making.images import noise, seeded
from tests.making.networks import CPU
from tests.making.smooth import Smooth

COUNT, SIDE, CLASSES, WIDTH, BATCH = 7, 8, 3, 2, 3
BUDGET = Budget.parse("linf-24")
SETTING = {"batch_size": BATCH, "width": WIDTH}
Weights = dict[str, Tensor]


@pytest.fixture
def in_double(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(ARCHITECTURES, "get", lambda name: Smooth)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def data(count: int = COUNT) -> CraftData:
    labels = torch.arange(count) % CLASSES
    return CraftData(noise(count, SIDE).double() / 255, labels, CLASSES, torch.arange(count))


def context(**fields: Any) -> CraftContext:
    return CraftContext([], seed=5, device=CPU, images=COUNT, architecture="smooth", **fields)


def crafted(name: str, ctx: CraftContext, given: CraftData, **params: Any) -> Tensor:
    method = METHODS.get(name)
    return method(method.Params.model_validate(SETTING | params)).craft(given, BUDGET, ctx)


def generator() -> UNet:
    with torch.random.fork_rng():
        torch.manual_seed(context().generator("generator").initial_seed())
        return UNet(WIDTH)


def classifier(*purpose: str | int) -> Weights:
    seed = derive(context().seed, "weights", *purpose)
    image = torch.zeros(1, 3, SIDE, SIDE, dtype=torch.uint8)
    network = build_network("smooth", CLASSES, image, normalise=False, seed=seed, device=CPU)
    return {name.removeprefix("classifier."): one.detach().clone() for name, one in network.named_parameters()}


def logits(weights: Weights, x: Tensor) -> Tensor:
    h = F.conv2d(x, weights["convolution.weight"], weights["convolution.bias"], stride=2, padding=1)
    mean = h.mean((0, 2, 3), keepdim=True)
    h = (h - mean) / ((h - mean).square().mean((0, 2, 3), keepdim=True) + 1e-5).sqrt()
    h = h * weights["norm.weight"].view(1, -1, 1, 1) + weights["norm.bias"].view(1, -1, 1, 1)
    return torch.log(1 + h.exp()).square().mean((2, 3)) @ weights["head.weight"].T + weights["head.bias"]


def loss(weights: Weights, x: Tensor, y: Tensor) -> Tensor:
    found = logits(weights, x)
    return torch.stack([row.exp().sum().log() - row[label] for row, label in zip(found, y, strict=True)]).mean()


def slope(value: Tensor, weights: Weights, *, kept: bool = False) -> Weights:
    found = torch.autograd.grad(value, list(weights.values()), create_graph=kept)
    return dict(zip(weights, found, strict=True))


def leaves(weights: Weights) -> Weights:
    return {name: one.detach().clone().requires_grad_() for name, one in weights.items()}


def parameters_of(unet: UNet) -> Weights:
    return dict[str, Tensor](unet.named_parameters())


def protected(unet: UNet, x: Tensor) -> Tensor:
    values: Tensor = unet(x)
    return (x + BUDGET.radius * values).clamp(0, 1)


def adam(weights: Weights, gradient: Weights, moments: list[Weights], step: int, lr: float) -> None:
    """Move weights against a gradient, in place; `step` is 1-based."""
    first, second = moments
    for name, one in weights.items():
        first[name] = 0.9 * first.get(name, torch.zeros_like(one)) + 0.1 * gradient[name]
        second[name] = 0.999 * second.get(name, torch.zeros_like(one)) + 0.001 * gradient[name].square()
        upwards, size = first[name] / (1 - 0.9**step), second[name] / (1 - 0.999**step)
        one.data -= lr * upwards / (size.sqrt() + 1e-8)


def batches_of(epoch: int) -> list[Tensor]:
    order = torch.randperm(COUNT, generator=context().generator("order", epoch))
    return [order[:BATCH], order[BATCH : 2 * BATCH]]


def in_the_end(unet: UNet, x: Tensor) -> Tensor:
    with torch.no_grad():
        unet.eval()
        return torch.cat([protected(unet, one[None]) for one in x])


def ahead(weights: Weights, unet: UNet, x: Tensor, y: Tensor, lr: float) -> Tensor:
    """Return the loss on the clean batch after the classifier's step on the protected one."""
    weights = leaves(weights)
    downwards = slope(loss(weights, protected(unet, x), y), weights, kept=True)
    return loss({name: one - lr * downwards[name] for name, one in weights.items()}, x, y)


def slow_deepconfuse(trials: int, epochs: int, lr: float, generator_lr: float) -> Tensor:
    given, new, moments, step = data(), generator(), list[Weights]([{}, {}]), 0
    for trial in range(trials):
        old, weights = deepcopy(new).eval(), classifier("trial", trial)
        for epoch in range(epochs):
            for chosen in batches_of(trial * epochs + epoch):
                x, y, step = given.x[chosen], given.y[chosen], step + 1
                parts = parameters_of(new)
                upwards = slope(ahead(weights, new, x, y, lr), parts)
                adam(parts, {name: -one for name, one in upwards.items()}, moments, step, generator_lr)
                weights = leaves(weights)
                downwards = slope(loss(weights, protected(old, x).detach(), y), weights)
                weights = {name: one.detach() - lr * downwards[name] for name, one in weights.items()}
    return in_the_end(new, given.x)


def answer_to(weights: Weights, x: Tensor, y: Tensor, steps: int, lr: float) -> Weights:
    answer, moments = leaves(weights), list[Weights]([{}, {}])
    for step in range(steps):
        adam(answer, slope(loss(answer, x, y), answer), moments, step + 1, lr)
    return {name: one.detach() for name, one in answer.items()}


def least_likely(weights: Weights, x: Tensor, y: Tensor) -> Tensor:
    worst = []
    for row, label in zip(logits(weights, x), y.tolist(), strict=True):
        worst.append(max(row.exp().sum().log() - row[wrong] for wrong in range(CLASSES) if wrong != label))
    return torch.stack(worst).mean()


def gue_step(
    unet: UNet, weights: Weights, x: Tensor, y: Tensor, *, inner_steps: int, inner_lr: float, eta: float
) -> tuple[float, Weights, Weights, Weights]:
    """Return the weight of the gap, the slopes of the gap and that of the leader's loss."""
    weights, parts = leaves(weights), parameters_of(unet)
    shown = protected(unet, x)
    answer = answer_to(weights, shown.detach(), y, inner_steps, inner_lr)
    gap = loss(weights, shown, y) - loss(answer, shown, y)
    everything = slope(gap, {f"a {name}": one for name, one in parts.items()} | weights)
    leader = slope(least_likely(weights, x, y), weights)
    square = sum(float(one.square().sum()) for one in everything.values())
    along = sum(float((leader[name] * everything[name]).sum()) for name in weights)
    weight = max((eta * square - along) / square, 0.0)
    return (
        weight,
        {name: everything[f"a {name}"] for name in parts},
        {name: everything[name] for name in weights},
        leader,
    )


def slow_gue(epochs: int, lr: float, generator_lr: float, **inner: Any) -> tuple[Tensor, list[float]]:
    given, unet, weights, used = data(), generator(), classifier(), []
    for epoch in range(epochs):
        for chosen in batches_of(epoch):
            x, y = given.x[chosen], given.y[chosen]
            weight, of_unet, of_weights, leader = gue_step(unet, weights, x, y, **inner)
            for name, one in unet.named_parameters():
                one.data -= generator_lr * weight * of_unet[name]
            weights = {name: one - lr * (leader[name] + weight * of_weights[name]) for name, one in weights.items()}
            used.append(weight)
    return in_the_end(unet, given.x), used


def test_deepconfuse_follows_the_loop_that_writes_the_step_ahead_out(in_double: None) -> None:
    setting = {"trials": 2, "epochs": 2, "lr": 0.3, "generator_lr": 1e-3}
    slow = slow_deepconfuse(**setting)  # type: ignore[arg-type]
    torch.testing.assert_close(crafted("deepconfuse", context(), data(), **setting), slow, rtol=0, atol=1e-7)
    begun = in_the_end(generator(), data().x)
    assert float((slow - begun).abs().max()) > 1e-3, "the generator has learnt nothing that would show"


@pytest.mark.parametrize(("eta", "overruled"), [(1.5, False), (0.01, True)])
def test_gue_follows_the_loop_that_writes_both_steps_out(eta: float, overruled: bool, in_double: None) -> None:
    setting = {"epochs": 2, "lr": 0.1, "generator_lr": 5.0, "inner_steps": 3, "inner_lr": 0.01, "eta": eta}
    slow, weights = slow_gue(**setting)  # type: ignore[arg-type]
    torch.testing.assert_close(crafted("gue", context(), data(), **setting), slow, rtol=0, atol=1e-7)
    begun = in_the_end(generator(), data().x)
    assert float((slow - begun).abs().max()) > 1e-3, "the generator has learnt nothing that would show"
    assert (0.0 in weights) == overruled, "a leader's loss that closes the gap by itself leaves it no weight"


PARTS = pytest.mark.parametrize("name", ["down.0.0.weight", "down.3.4.weight", "up.0.3.weight", "last.0.weight"])


@PARTS
def test_deepconfuse_climbs_the_slope_of_the_loss_ahead_by_differences(name: str, in_double: None) -> None:
    given, keeper = data(BATCH), MemoryKeeper()
    crafted("deepconfuse", context(keeper=keeper), given, trials=1, epochs=1, lr=0.3)
    index = [one for one, _ in generator().named_parameters()].index(name)
    climbed = -keeper.tensors("state-training")[f"new/optimizer.{index}.exp_avg"].flatten()[0] / 0.1
    order = torch.randperm(BATCH, generator=context().generator("order", 0))
    x, y, weights, ends = given.x[order], given.y[order], classifier("trial", 0), []
    for change in (1e-5, -1e-5):
        unet = generator()
        unet.get_parameter(name).data.flatten()[0] += change
        ends.append(float(ahead(weights, unet, x, y, lr=0.3).detach()))
    assert float(climbed) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-4, abs=1e-9)


@PARTS
def test_gue_descends_the_slope_of_the_gap_by_differences(name: str, in_double: None) -> None:
    given, keeper, inner = data(BATCH), MemoryKeeper(), {"inner_steps": 2, "inner_lr": 0.01, "eta": 1.5}
    crafted("gue", context(keeper=keeper), given, epochs=1, generator_lr=0.1, **inner)
    after = keeper.tensors("state-training")[f"generator/network.{name}"].flatten()[0]
    moved = generator().get_parameter(name).detach().flatten()[0] - after
    order = torch.randperm(BATCH, generator=context().generator("order", 0))
    x, y, weights, ends = given.x[order], given.y[order], classifier(), []
    answer = answer_to(weights, protected(generator(), x).detach(), y, 2, 0.01)
    for change in (1e-5, -1e-5):
        unet = generator()
        unet.get_parameter(name).data.flatten()[0] += change
        shown = protected(unet, x)
        ends.append(float((loss(weights, shown, y) - loss(answer, shown, y)).detach()))
    weight = gue_step(generator(), weights, x, y, **inner)[0]  # type: ignore[arg-type]
    assert float(moved) == pytest.approx(0.1 * weight * (ends[0] - ends[1]) / 2e-5, rel=1e-4, abs=1e-9)


def of_colours(count: int = 24) -> CraftData:
    """Return noisy images of three colours, a class each, which are learnt with ease."""
    labels = torch.arange(count) % CLASSES
    colours = 0.45 + 0.15 * F.one_hot(labels, CLASSES)[:, :, None, None]
    pixels = colours + 0.15 * torch.randn(count, 3, SIDE, SIDE, generator=seeded(0))
    return CraftData(pixels.clamp(0, 1), labels, CLASSES, torch.arange(count))


def losses_of_one_who_learns(shown: Tensor, clean: CraftData) -> tuple[float, float]:
    """Return the losses on clean images, and on those that were shown, of a classifier that learnt from the latter."""
    weights = classifier("victim")
    for _ in range(60):
        weights = leaves(weights)
        downwards = slope(loss(weights, shown, clean.y), weights)
        weights = {name: one - 0.3 * downwards[name] for name, one in weights.items()}
    return float(loss(weights, clean.x, clean.y).detach()), float(loss(weights, shown, clean.y).detach())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "setting", "more"),
    [
        ("deepconfuse", {"epochs": 5, "lr": 0.3, "generator_lr": 1e-2, "width": 2, "trials": 1}, {"trials": 16}),
        (
            "gue",
            {"epochs": 1, "lr": 0.1, "generator_lr": 1.0, "width": 4, "inner_steps": 5, "inner_lr": 0.01},
            {"epochs": 30},
        ),
    ],
    ids=["deepconfuse", "gue"],
)
def test_who_learns_from_the_images_is_wrong_about_clean_ones_once_the_generator_has_learnt(
    name: str, setting: dict[str, Any], more: dict[str, Any], in_double: None
) -> None:
    given, method = of_colours(), METHODS.get(name)

    def images(**changed: Any) -> Tensor:
        params = method.Params.model_validate({"batch_size": 12, **setting, **changed})
        return method(params).craft(given, Budget.parse("linf-48"), context())

    assert losses_of_one_who_learns(given.x, given)[0] < 0.1
    assert losses_of_one_who_learns(images(), given)[0] < 0.1
    on_clean, on_shown = losses_of_one_who_learns(images(**more), given)
    assert on_clean > 0.5
    assert on_shown < 0.1


@pytest.mark.parametrize("name", ["deepconfuse", "gue"])
def test_a_single_image_is_refused_in_a_sentence(name: str, in_double: None) -> None:
    with pytest.raises(SepbenchError, match="a batch of one image leaves a batch norm of this network a single value"):
        crafted(name, context(), CraftData(torch.rand(1, 3, 1, 1), torch.zeros(1).long(), 3, torch.zeros(1).long()))


@pytest.mark.parametrize(("name", "passes"), [("deepconfuse", 120_000), ("gue", 700)])
def test_the_published_settings_cost_what_their_loops_take(name: str, passes: int) -> None:
    assert METHODS.get(name)().passes() == passes


@pytest.mark.parametrize("name", ["deepconfuse", "gue"])
def test_a_rate_that_is_too_high_for_the_classifier_is_told_of_the_classifier(name: str) -> None:
    kind = METHODS.get(name)
    case = Case(kind, small_params(kind, {"lr": 1e30}), Budget.parse("linf-8"))
    with pytest.raises(Diverged, match=r"^classifier\..* lower its learning rate"):
        released(case, digits())
