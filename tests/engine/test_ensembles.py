"""The engine and the methods on it that are no SEP: frozen networks, independent ensembles, TAP."""

import logging
from copy import deepcopy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor, nn

from bench.contracts.augment import Augmentation, augment, draw
from bench.contracts.budget import Budget
from bench.contracts.context import CraftContext
from bench.contracts.method import METHODS, CraftData
from bench.contracts.network import Classifier, Network
from bench.core.device import precision
from bench.engine.ensemble import Ensemble
from bench.engine.frozen import Frozen
from bench.engine.release import audit, release
from methods._pgd import PGD
from tests.making.images import noise
from tests.making.networks import CPU, checkpoints
from tests.making.slow_sep import gradient_of, protect_slowly

IMAGES, LABELS = noise(4), torch.tensor([0, 4, 7, 9])
CLEAN = IMAGES.double() / 255


def crafted(name: str, surrogates: list[list[Network]], budget: str, **params: Any) -> Tensor:
    kind = METHODS.get(name)
    method = kind(kind.Params.model_validate(params))
    context = CraftContext(deepcopy(surrogates), seed=0, device=CPU, images=4)
    data = CraftData(CLEAN, LABELS, 10, torch.arange(4))
    method.prepare(lambda: iter([data]), context)
    return method.craft(data, Budget.parse(budget), context)


def test_a_frozen_network_is_the_network_without_batch_norm_and_without_gradients() -> None:
    (network,) = checkpoints(1)
    frozen = Frozen(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in frozen.modules())
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    torch.testing.assert_close(frozen(CLEAN), network(CLEAN), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(frozen.features(CLEAN), network.features(CLEAN), rtol=1e-9, atol=1e-12)
    assert any(isinstance(module, nn.BatchNorm2d) for module in network.modules()), "the original stays as it was"


class Unfoldable(Classifier):
    """Reads a convolution twice, branches on data, and normalises before it convolves."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.BatchNorm2d(3)
        self.conv, self.bn = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 10)

    def features(self, x: Tensor) -> Tensor:
        y = self.conv(self.before(x))
        result: Tensor = (self.bn(y) + y).mean((2, 3))
        return result


class Untraceable(Unfoldable):
    """Cannot be traced at all."""

    def features(self, x: Tensor) -> Tensor:
        return super().features(x if float(x.mean()) > -1 else -x)


@pytest.mark.parametrize("kind", [Unfoldable, Untraceable])
def test_batch_norm_stays_where_folding_it_would_not_be_exact(
    kind: type[Unfoldable], caplog: pytest.LogCaptureFixture
) -> None:
    network = Network(kind(), torch.full((3,), 0.5), torch.full((3,), 0.25)).double().train()
    with torch.no_grad():
        network(CLEAN)
    network.eval()
    with caplog.at_level(logging.INFO, "sepbench"):
        frozen = Frozen(network)
    torch.testing.assert_close(frozen(CLEAN), network(CLEAN), rtol=1e-9, atol=1e-12)
    assert sum(isinstance(module, nn.BatchNorm2d) for module in frozen.modules()) == 2
    assert ("cannot be traced" in caplog.text) is (kind is Untraceable)


def test_bfloat16_gradients_point_the_same_way() -> None:
    networks, targets = checkpoints(3), torch.tensor([5, 9, 2, 4])
    single = [deepcopy(network).float() for network in networks]
    exact = Ensemble(networks).mean_gradient(CLEAN, targets)
    rough = Ensemble(single, precision="bf16").mean_gradient(CLEAN.float(), targets)
    assert rough.dtype == torch.float32
    similarity = F.cosine_similarity(rough.double().flatten(1), exact.flatten(1))
    assert float(similarity.min()) > 0.98
    clear = exact.abs() > 0.1 * exact.abs().amax((1, 2, 3), keepdim=True)
    assert torch.equal(rough.double().sign()[clear], exact.sign()[clear])


def test_passes_are_counted_in_images() -> None:
    ensemble = Ensemble(checkpoints(3))
    ensemble.mean_gradient(CLEAN, LABELS)
    ensemble.gradient(1, CLEAN[:2], LABELS[:2])
    assert ensemble.passes == 3 * 4 + 2


@pytest.mark.parametrize(
    ("name", "params"), [("seed-ensemble", {"runs": 3}), ("architecture-ensemble", {"networks": ["resnet8"] * 3})]
)
def test_an_ensemble_of_runs_descends_on_the_mean_of_their_last_checkpoints(name: str, params: dict[str, Any]) -> None:
    networks = checkpoints(3)
    fast = crafted(name, [[network] for network in networks], "linf-8", steps=3, **params)
    for position, target in enumerate([5, 9, 2, 4]):
        slow, clear = protect_slowly(networks, CLEAN[position], target, "linf", 8 / 255, 1 / 255, 3)
        torch.testing.assert_close(fast[position][clear > 1e-9], slow[clear > 1e-9], rtol=0, atol=1e-9)


def test_ensembles_name_the_runs_they_need() -> None:
    seeds = METHODS.get("seed-ensemble")
    needs = seeds(seeds.Params.model_validate({"runs": 3, "network": "resnet18"})).needs()
    assert [(need.network, need.seed, need.epochs(10)) for need in needs] == [("resnet18", i, (9,)) for i in range(3)]
    architectures = METHODS.get("architecture-ensemble")
    needs = architectures(architectures.Params.model_validate({"networks": ["resnet8", "resnet18"]})).needs()
    assert [(need.network, need.seed, need.epochs(10)) for need in needs] == [
        ("resnet8", 0, (9,)),
        ("resnet18", 0, (9,)),
    ]


def test_a_single_checkpoint_is_one_whichever_epoch_it_is_of() -> None:
    kind = METHODS.get("single-checkpoint")
    assert [need.epochs(10) for need in kind(kind.Params.model_validate({"epochs": [3]})).needs()] == [(3,)]
    with pytest.raises(ValidationError, match="at most 1 item"):
        kind.Params.model_validate({"epochs": [3, 5]})


def test_the_step_can_be_a_share_of_the_budget() -> None:
    (network,) = checkpoints(1)
    as_share = crafted("single-checkpoint", [[network]], "linf-8", steps=2, step_fraction=0.05)
    in_levels = crafted("single-checkpoint", [[network]], "linf-8", steps=2, step_size=0.4)
    torch.testing.assert_close(as_share, in_levels, rtol=0, atol=1e-12)


@pytest.mark.parametrize("budget", ["linf-8", "l2-1"])
def test_a_normal_start_is_within_the_budget_and_differs_between_images_and_restarts(budget: str) -> None:
    pgd = PGD(steps=1, length=0.1, start="normal")
    context, ball = CraftContext([], seed=0, device=CPU, images=4), Budget.parse(budget)
    grey = torch.full_like(CLEAN, 0.5)
    data = CraftData(grey, LABELS, 10, torch.arange(4))
    first, again, other = (pgd._begin(restart, data, ball, context) for restart in (0, 0, 1))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert float((first - other).abs().max()) > 0.001
    assert float((first[0] - first[1]).abs().max()) > 0.001
    torch.testing.assert_close(ball.project(grey, first), first, rtol=0, atol=1e-12)
    part = CraftData(grey[2:], LABELS[2:], 10, torch.arange(4)[2:])
    torch.testing.assert_close(pgd._begin(0, part, ball, context), first[2:], rtol=0, atol=0)


def test_augmented_gradients_go_back_through_crop_and_flip() -> None:
    (network,) = checkpoints(1)
    fast = crafted("single-checkpoint", [[network]], "linf-8", steps=1, augment=True)
    context = CraftContext([], seed=0, device=CPU, images=4)
    draws = draw(4, Augmentation(crop_padding=4, flip=True), context.generator("augment", 0, 0), (8, 8))
    for position, target in enumerate([5, 9, 2, 4]):
        x = CLEAN[position : position + 1].clone().requires_grad_()
        part = slice(position, position + 1)
        F.cross_entropy(network(augment(x, draws[part], 4)), torch.tensor([target])).backward()
        assert x.grad is not None
        slow = torch.clamp(CLEAN[position] - x.grad[0].sign() / 255, 0, 1)
        clear = x.grad[0].abs() > 1e-9 * x.grad.abs().max()
        torch.testing.assert_close(fast[position][clear], slow[clear], rtol=0, atol=1e-9)


def test_each_image_keeps_the_restart_with_the_lowest_loss() -> None:
    (network,) = checkpoints(1)
    settings = {"steps": 2, "start": "normal"}
    kept = crafted("single-checkpoint", [[network]], "linf-8", restarts=3, **settings)
    target = torch.tensor([5, 9, 2, 4])
    with torch.no_grad():
        losses = F.cross_entropy(network(kept), target, reduction="none")
        single = crafted("single-checkpoint", [[network]], "linf-8", restarts=1, **settings)
        first = F.cross_entropy(network(single), target, reduction="none")
    assert bool((losses <= first + 1e-12).all())
    assert bool((losses < first - 1e-9).any())


def test_truncation_as_released_loses_a_level_here_and_there_and_rounding_does_not() -> None:
    budget = Budget.parse("linf-8")
    clean = noise(64)
    single = clean.float() / 255
    moved = budget.project(single, single - budget.radius * torch.sign(torch.randn(single.shape)))
    rounded, cut = release(clean, moved, budget), release(clean, moved, budget, "truncate")
    assert audit(clean, rounded).linf_levels == 8
    lower = (rounded.int() - cut.int()).unique().tolist()
    assert lower == [0, 1]
    assert audit(clean, cut).linf_levels in (8, 9)


def test_the_gradient_of_one_network_of_an_ensemble_is_its_own() -> None:
    networks = checkpoints(2)
    fast = Ensemble(networks).gradient(1, CLEAN, torch.tensor([5, 9, 2, 4]))
    torch.testing.assert_close(fast[2], gradient_of(networks[1:], CLEAN[2], 2), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("device", "has_bf16", "wanted", "used"),
    [
        ("cpu", True, "auto", "fp32"),
        ("cpu", False, "bf16", "bf16"),
        ("cuda", True, "auto", "bf16"),
        ("cuda", False, "auto", "fp32"),
        ("cuda", True, "fp32", "fp32"),
    ],
)
def test_auto_is_bf16_on_gpus_that_have_it_and_nowhere_else(
    device: str, has_bf16: bool, wanted: str, used: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0) if has_bf16 else (7, 5))
    assert precision(torch.device(device), wanted) == used
