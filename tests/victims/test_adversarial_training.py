"""Adversarial training learns from the worst neighbours of a batch, and from nothing else that the attack does."""

from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.contracts.defense import (
    DEFENSES,
    Defense,
    Defenses,
    Loss,
)
from bench.core.errors import Stopped
from bench.engine.training import History
from tests.making.images import seeded
from tests.making.side_passes import (
    SOFT,
    Watched,
    Y,
    images,
    learns_under_autocast,
    leaves_the_rest_to_the_training_pass,
    network,
    trained_on,
)
from tests.making.trainings import STATE, draft, recipe, same_bits, same_curves, trained


def defense(**params: Any) -> Defense:
    kind = DEFENSES.get("adversarial-training")
    return kind(kind.Params.model_validate(params))


def wrap(loss: Loss, **params: Any) -> Loss:
    return defense(**params).loss(loss, epoch=0)


def attacked(x: Tensor, y: Tensor = Y, seed: int = 5, model: nn.Module | None = None, **params: Any) -> Tensor:
    return trained_on(lambda loss: wrap(loss, **params), model or network(), x, y, seed)[0]


def settled() -> nn.Module:
    """Return a network in training mode whose running statistics are about those of the images."""
    model = network()
    with torch.no_grad():
        for _ in range(30):
            model(images())
    return model


class NormalisedPixel(nn.Module):
    """Logits 0 and v of images of one value, where v is the value after a batch norm that has seen nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(1)

    def forward(self, x: Tensor) -> Tensor:
        value = self.norm(x.flatten(1))
        return torch.cat([torch.zeros_like(value), value], 1)


def slow_attack(
    model: nn.Module, x: Tensor, y: Tensor, start: Tensor, radius: float, step_size: float, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """PGD pixel by pixel; also returns where every gradient on the way was well away from zero."""
    clean = x.numpy().ravel()
    moved = [min(max(p + radius * s, 0.0), 1.0) for p, s in zip(clean, start.numpy().ravel(), strict=True)]
    certain = np.ones(len(clean), dtype=bool)
    for _ in range(steps):
        there = torch.tensor(moved, dtype=x.dtype).view(x.shape).requires_grad_()
        log_odds = deepcopy(model).eval()(there).log_softmax(1)
        (-log_odds[torch.arange(len(y)), y].sum() / len(y)).backward()
        assert there.grad is not None
        slopes = there.grad.numpy().ravel()
        certain &= np.abs(slopes) > 1e-9
        for i, slope in enumerate(slopes):
            value = moved[i] + step_size * float(np.sign(slope))
            value = min(max(value, clean[i] - radius), clean[i] + radius)
            moved[i] = min(max(value, 0.0), 1.0)
    return np.array(moved).reshape(x.shape), certain.reshape(x.shape)


@pytest.mark.parametrize(("radius", "step_size", "steps"), [(8, 2.0, 10), (4, 2.0, 3), (60, 25.0, 4)])
def test_the_attack_is_projected_gradient_ascent_on_the_training_loss(
    radius: int, step_size: float, steps: int
) -> None:
    x, model = images().double(), settled().double()
    start = 2 * torch.rand(x.shape, generator=seeded(5), dtype=x.dtype) - 1
    expected, certain = slow_attack(model, x, Y, start, radius / 255, step_size / 255, steps)
    found = attacked(x, model=model, radius=radius, step_size=step_size, steps=steps).numpy()
    assert certain.mean() > 0.9
    np.testing.assert_allclose(found[certain], expected[certain], atol=1e-12)


@pytest.mark.parametrize("radius", [1, 8, 255])
@pytest.mark.parametrize("y", [Y, SOFT], ids=["classes", "probabilities"])
def test_the_batch_stays_within_the_radius_and_is_still_images(radius: int, y: Tensor) -> None:
    x = images()
    found = attacked(x, y, radius=radius, step_size=radius / 2.5)
    assert float((found.double() - x.double()).abs().max()) <= radius / 255 + 1e-7
    assert float((found - x).abs().max()) > 0.9 * min(radius / 255, 0.5)
    assert float(found.amin()) >= 0
    assert float(found.amax()) <= 1


def test_the_attack_raises_the_loss_well_above_that_of_noise_of_the_same_size() -> None:
    x, model = images(), settled()

    def loss(batch: Tensor) -> float:
        return float(F.cross_entropy(deepcopy(model).eval()(batch), Y).detach())

    worst = attacked(x, model=deepcopy(model))
    noisy = [(x + 8 / 255 * torch.randn(x.shape, generator=seeded(s)).sign()).clamp(0, 1) for s in range(5)]
    assert loss(worst) > max(loss(x), *(loss(batch) for batch in noisy)) + 0.1


def test_the_start_is_uniform_in_the_radius_and_comes_from_the_generator() -> None:
    x = torch.full((12, 3, 8, 8), 0.5)
    first, again, other = (attacked(x, seed=s, steps=1, step_size=1e-4, radius=100) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    start = (first - x) / (100 / 255)
    assert float(start.abs().max()) > 0.99
    assert abs(float(start.mean())) < 0.05
    assert abs(float(start.std()) - 3**-0.5) < 0.03


def test_probabilities_of_one_class_are_attacked_as_that_class() -> None:
    torch.testing.assert_close(attacked(images(), SOFT), attacked(images(), Y))


@pytest.mark.parametrize("steps", [1, 4])
def test_statistics_gradients_and_dropout_are_those_of_the_training_pass(steps: int) -> None:
    leaves_the_rest_to_the_training_pass(lambda loss: wrap(loss, steps=steps))


def test_every_weight_learns_under_autocast() -> None:
    learns_under_autocast(wrap)


def test_each_step_costs_one_pass() -> None:
    inner = Watched()
    wrap(inner, steps=7)(network(), images(), Y, seeded(5))
    assert len(inner.seen) == 7 + 1


def test_the_attack_sees_the_network_in_eval_mode() -> None:
    """By running statistics, here still 0 and 1, all values rise against class 0; by those of the batch none could.

    A batch norm in training mode takes the mean of the batch away, and with it whatever all images gain.
    """
    x = torch.tensor([0.2, 0.6]).view(2, 1, 1, 1)
    moved = attacked(x, torch.zeros(2, dtype=torch.int64), model=NormalisedPixel())
    torch.testing.assert_close(moved, x + 8 / 255)


def test_the_attack_goes_through_no_dropout() -> None:
    model = settled()
    torch.testing.assert_close(
        attacked(images(), model=nn.Sequential(deepcopy(model), nn.Dropout(0.9))), attacked(images(), model=model)
    )


@pytest.mark.parametrize("fails", [False, True])
def test_every_part_of_the_network_is_in_its_mode_again(fails: bool) -> None:
    model = nn.Sequential(network(), nn.Dropout(0.3))
    model[1].eval()  # as a part that is not to be trained
    before = [module.training for module in model.modules()]

    def loss(network: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        if fails:
            raise RuntimeError("in the midst of the attack")
        return F.cross_entropy(network(x), y)

    with pytest.raises(RuntimeError, match="in the midst") if fails else nullcontext():
        wrap(loss)(model, images(), Y, seeded(5))
    assert [module.training for module in model.modules()] == before


def test_a_network_in_eval_mode_stays_as_it_is() -> None:
    model = network().eval()
    before = deepcopy(model.state_dict())
    attacked(images(), model=model)
    assert not any(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_number_after_the_name_is_the_radius() -> None:
    (short,) = Defenses.parse("adversarial-training-4").chain
    assert short.params.model_dump() == {"radius": 4, "step_size": 2.0, "steps": 10}
    assert str(Defenses.parse("adversarial-training")) == "adversarial-training-8"


@pytest.mark.parametrize("written", ["adversarial-training+ueraser", "adversarial-training-4+adversarial-training"])
def test_the_attack_goes_through_what_stands_behind_it(written: str) -> None:
    model, x, inner = network(), images(), Watched()
    value = Defenses.parse(written).loss(inner, epoch=0)(model, x, Y, seeded(5))
    value.backward()
    assert bool(value.isfinite())
    assert all(weight.grad is not None for weight in model.parameters())


def test_a_stopped_training_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    def stop(history: History) -> None:
        if len(history) == 1:
            raise Stopped

    how, against = recipe(), defense(steps=2)
    undisturbed, curves = trained(tmp_path / "a", how, defense=against)
    with pytest.raises(Stopped):
        trained(tmp_path / "b", how, defense=against, on_epoch=stop)
    assert STATE in draft(tmp_path / "b").names()
    torch.manual_seed(9)
    network, resumed = trained(tmp_path / "b", how, defense=against)
    assert same_bits(network, undisturbed)
    assert same_curves(resumed, curves)
    assert not same_bits(network, trained(tmp_path / "c", how)[0])
