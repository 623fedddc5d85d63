"""DP-SGD steps along the mean of clipped gradients of single images, with noise on their sum."""

import math
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.contracts.defense import DEFENSES, Defense, Defenses
from bench.contracts.network import ARCHITECTURES
from bench.core.errors import SepbenchError, Stopped
from bench.engine.training import History
from tests.making.images import noise, seeded
from tests.making.networks import gradients_of
from tests.making.side_passes import CLASSES, SOFT, Watched, Y, images, network
from tests.making.trainings import recipe, same_bits, same_curves, trained

EVERY_BATCH_NORM = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def defense(**params: Any) -> Defense:
    kind = DEFENSES.get("dp-sgd")
    return kind(kind.Params.model_validate(params))


def grouped() -> nn.Module:
    return defense().network(network())


def private_gradients(
    model: nn.Module, x: Tensor, y: Tensor = Y, seed: int = 5, **params: Any
) -> tuple[Tensor, list[Tensor]]:
    """Return the loss, and the gradient of every weight."""
    model = deepcopy(model)
    value = defense(**params).loss(Watched(), epoch=0)(model, x, y, seeded(seed))
    value.backward()
    return value.detach(), gradients_of(model)


def norm(gradients: list[Tensor]) -> float:
    return math.sqrt(sum(float(one.double().square().sum()) for one in gradients))


def one_by_one(model: nn.Module, x: Tensor, y: Tensor, clip: float) -> tuple[list[Tensor], list[float]]:
    """Clip and average image after image; also returns the norms before clipping."""
    weights = list(model.parameters())
    total, norms = [torch.zeros_like(weight) for weight in weights], []
    for i in range(len(x)):
        gradients = list(torch.autograd.grad(F.cross_entropy(model(x[i : i + 1]), y[i : i + 1]), weights))
        norms.append(norm(gradients))
        for sum_so_far, gradient in zip(total, gradients, strict=True):
            sum_so_far += gradient * min(1.0, clip / norms[-1])
    return [one / len(x) for one in total], norms


@pytest.mark.parametrize("y", [Y, 0.7 * SOFT + 0.1], ids=["classes", "probabilities"])
@pytest.mark.parametrize("quantile", [0.0, 0.5, 1.0], ids=["all clipped", "half clipped", "none clipped"])
def test_without_noise_it_is_the_mean_of_clipped_gradients(y: Tensor, quantile: float) -> None:
    model, x = grouped().double(), images().double()
    y = y.double() if y.is_floating_point() else y
    norms = one_by_one(model, x, y, 1.0)[1]
    clip = float(torch.tensor(norms).quantile(quantile)) * (1.001 if quantile else 0.5)
    expected, _ = one_by_one(model, x, y, clip)
    value, found = private_gradients(model, x, y, clip=clip, noise=0.0)
    torch.testing.assert_close(value, F.cross_entropy(model(x), y).detach())
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-9)
    if quantile == 1.0:
        plain = torch.autograd.grad(F.cross_entropy(model(x), y), list(model.parameters()))
        torch.testing.assert_close(found, list(plain), atol=1e-12, rtol=1e-9)
    else:
        assert norm(found) <= clip


@pytest.mark.parametrize("count", [1, 15, 16, 17, 40])
def test_every_image_counts_once_whatever_the_size_of_the_batch(count: int) -> None:
    x = noise(count, side=8, seed=3).double() / 255
    y, model = torch.arange(count) % CLASSES, grouped().double()
    expected, _ = one_by_one(model, x, y, 0.5)
    torch.testing.assert_close(private_gradients(model, x, y, clip=0.5, noise=0.0)[1], expected, atol=1e-12, rtol=1e-9)


def test_no_image_moves_the_step_further_than_its_share() -> None:
    model, x = grouped(), images()
    outlier = x.clone()
    outlier[3] = (1 - outlier[3]).round()
    first, second = (private_gradients(model, batch, clip=0.1, noise=0.0)[1] for batch in (x, outlier))
    assert 0 < norm([a - b for a, b in zip(first, second, strict=True)]) <= 2 * 0.1 / len(x) * 1.0001


@pytest.mark.parametrize(("clip", "multiplier"), [(1.0, 0.01), (0.5, 2.0), (30.0, 0.1)])
def test_noise_of_the_multiplier_times_the_clip_lies_on_the_sum(clip: float, multiplier: float) -> None:
    model, x = grouped(), images()
    quiet = private_gradients(model, x, clip=clip, noise=0.0)[1]
    loud = private_gradients(model, x, clip=clip, noise=multiplier)[1]
    drawn = torch.cat([((b - a) * len(x)).flatten() for a, b in zip(quiet, loud, strict=True)]) / (clip * multiplier)
    assert abs(float(drawn.mean())) < 0.02
    assert abs(float(drawn.std()) - 1) < 0.02
    assert abs(float((drawn.abs() < 1).float().mean()) - 0.6827) < 0.01


def test_noise_comes_from_the_generator_alone_and_is_new_in_every_step() -> None:
    model, x = grouped(), images()
    results = []
    for global_seed, seed in ((1, 5), (2, 5), (1, 6)):
        torch.manual_seed(global_seed)
        results.append(private_gradients(model, x, seed=seed, noise=1.0)[1])
    first, again, other = results
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    generator, loss = seeded(5), defense(noise=1.0).loss(Watched(), epoch=0)
    steps = []
    for _ in range(2):
        model.zero_grad()
        loss(model, x, Y, generator).backward()
        steps.append([one.clone() for one in gradients_of(model)])
    assert not any(torch.equal(a, b) for a, b in zip(*steps, strict=True))


def test_the_last_pass_is_one_of_the_whole_batch_for_its_accuracy() -> None:
    inner, x = Watched(), images()
    defense().loss(inner, epoch=0)(grouped(), x, Y, seeded(5))
    assert torch.equal(inner.seen[-1], x)


def test_dropout_is_drawn_for_each_image() -> None:
    model, x = (
        nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(192, CLASSES)),
        images()[:1].expand(12, -1, -1, -1),
    )
    gradients = private_gradients(model, x, torch.zeros(12, dtype=torch.int64), clip=1e9, noise=0.0)[1][0]
    # One mask for all would leave half of the columns without any gradient.
    pixels = x[0].flatten() > 0
    assert int((gradients[:, pixels].abs().sum(0) == 0).sum()) < 5


def test_under_autocast_only_the_passes_lose_precision() -> None:
    model, x = grouped(), images()
    with torch.autocast("cpu", dtype=torch.bfloat16, cache_enabled=False):
        value = defense(noise=0.0, clip=0.1).loss(Watched(), epoch=0)(model, x, Y, seeded(5))
        expected, _ = one_by_one(model, x, Y, 0.1)
    value.backward()
    found = gradients_of(model)
    exact, _ = one_by_one(model, x, Y, 0.1)

    def distance(first: list[Tensor], second: list[Tensor]) -> float:
        return norm([a - b for a, b in zip(first, second, strict=True)])

    assert distance(found, expected) < 0.2 * distance(expected, exact)
    assert all(one.dtype == torch.float32 for one in found)
    # Sums in bfloat16 would have no more than its eight digits.
    assert not any(torch.equal(one, one.bfloat16().float()) for one in found if one.numel() > 100)


def test_frozen_weights_stay_without_a_gradient() -> None:
    model, x = grouped(), images()
    frozen = next(model.parameters()).requires_grad_(False)
    defense().loss(Watched(), epoch=0)(model, x, Y, seeded(5)).backward()
    assert frozen.grad is None
    assert all(weight.grad is not None for weight in list(model.parameters())[1:])


@pytest.mark.parametrize("name", ARCHITECTURES.names())
def test_no_batch_norm_is_left_in_any_network(name: str) -> None:
    with torch.device("meta"):
        model = ARCHITECTURES.get(name)(CLASSES)
    before = [module.num_features for module in model.modules() if isinstance(module, EVERY_BATCH_NORM)]
    changed = defense().network(model)
    groups = [module for module in changed.modules() if isinstance(module, nn.GroupNorm)]
    assert not any(isinstance(module, EVERY_BATCH_NORM) for module in changed.modules())
    assert sorted(group.num_channels for group in groups) == sorted(before)
    for group in groups:
        assert group.num_channels % group.num_groups == 0
        assert group.num_groups == 32 or group.num_channels % (2 * group.num_groups) != 0


def test_an_image_is_classified_the_same_in_any_company() -> None:
    model, x = grouped(), images()
    torch.testing.assert_close(model(x)[:3], model(x[:3]), atol=1e-5, rtol=1e-4)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(network()(x)[:3], network()(x[:3]), atol=1e-5, rtol=1e-4)


def test_another_kind_of_batch_norm_is_refused_in_a_sentence() -> None:
    class Activated(nn.BatchNorm2d):
        """A batch norm with something of its own, which a group norm would lose."""

    with pytest.raises(SepbenchError) as caught:
        defense().network(nn.Sequential(nn.Conv2d(3, 4, 1), Activated(4)))
    assert "Activated" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_it_stands_last_in_a_chain() -> None:
    with pytest.raises(SepbenchError):
        Defenses.parse("dp-sgd+ueraser")


def test_an_attack_in_front_moves_the_images_and_leaves_the_gradient_private() -> None:
    model, x = grouped(), images()
    chain = Defenses.parse("adversarial-training+dp-sgd:noise=0")
    inner = Watched()
    chain.loss(inner, epoch=0)(model, x, Y, seeded(5)).backward()
    attacked = inner.seen[-1]
    assert 0.9 * 8 / 255 < float((attacked - x).abs().max()) <= 8 / 255 + 1e-6
    found = [weight.grad for weight in model.parameters()]
    torch.testing.assert_close(found, one_by_one(model, attacked, Y, 1.0)[0], atol=1e-6, rtol=1e-3)


def test_a_stopped_training_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    def stop(history: History) -> None:
        if len(history) == 1:
            raise Stopped

    how, against = recipe(clip_gradient=5.0), defense()
    undisturbed, curves = trained(tmp_path / "a", how, defense=against)
    with pytest.raises(Stopped):
        trained(tmp_path / "b", how, defense=against, on_epoch=stop)
    torch.manual_seed(9)
    resumed, resumed_curves = trained(tmp_path / "b", how, defense=against)
    assert same_bits(resumed, undisturbed)
    assert same_curves(resumed_curves, curves)
    assert not same_bits(undisturbed, trained(tmp_path / "c", how, defense=defense(noise=0.0))[0])


def test_training_accuracy_and_loss_are_those_of_an_undefended_run_that_stands_still(tmp_path: Path) -> None:
    class Grouped(Defense):
        """The same network, trained without privacy."""

        name = "grouped"

        def network(self, network: nn.Module) -> nn.Module:
            return defense().network(network)

    how = recipe(lr=1e-30)
    _, private = trained(tmp_path / "a", how, defense=defense())
    _, plain = trained(tmp_path / "b", how, defense=Grouped())
    assert private.train_acc == plain.train_acc
    assert private.train_loss == pytest.approx(plain.train_loss, rel=1e-5)
