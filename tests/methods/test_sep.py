"""SEP and its single checkpoint against the algorithm box computed slowly, in double precision."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.contracts.budget import Budget
from bench.contracts.context import CraftContext
from bench.contracts.method import METHODS, CraftData
from bench.contracts.network import Network
from bench.engine.ensemble import Ensemble
from bench.engine.release import release
from tests.making.images import noise
from tests.making.networks import CPU, checkpoints
from tests.making.slow_sep import gradient_of, protect_slowly

IMAGES = noise(4)
LABELS = torch.tensor([0, 4, 7, 9])


def crafted(
    name: str, networks: Sequence[Network], budget: Budget, classes: int = 10, dtype: Any = torch.float64, **params: Any
) -> Tensor:
    kind = METHODS.get(name)
    method = kind(kind.Params.model_validate(params))
    context = CraftContext([[deepcopy(network).to(dtype) for network in networks]], seed=0, device=CPU)
    data = CraftData(IMAGES.to(dtype) / 255, LABELS, classes, torch.arange(4))
    method.prepare(lambda: iter([data]), context)
    return method.craft(data, budget, context)


def slowly(
    networks: Sequence[Network], budget: Budget, targets: Sequence[int], step: float, steps: int
) -> tuple[Tensor, Tensor]:
    parts = [
        protect_slowly(networks, image.double() / 255, target, budget.norm, budget.radius, step, steps)
        for image, target in zip(IMAGES, targets, strict=True)
    ]
    return torch.stack([image for image, _ in parts]), torch.stack([clear for _, clear in parts])


def signs_agree(first: Tensor, second: Tensor, tiny: float) -> bool:
    """Tell whether two gradients have the same signs wherever they are not tiny, relative to their image's largest."""
    clear = second.abs() > tiny * second.abs().amax((1, 2, 3), keepdim=True)
    assert float(clear.double().mean()) > 0.9
    return torch.equal(first.sign()[clear], second.sign()[clear])


def test_the_mean_gradient_is_the_mean_of_raw_gradients() -> None:
    networks, x, targets = checkpoints(3), IMAGES.double() / 255, torch.tensor([5, 9, 2, 4])
    slow = torch.stack([gradient_of(networks, image, int(y)) for image, y in zip(x, targets, strict=True)])
    fast = Ensemble(networks).mean_gradient(x, targets)
    torch.testing.assert_close(fast, slow, rtol=1e-9, atol=1e-12)
    assert signs_agree(fast, slow, tiny=1e-9)


def test_the_mean_gradient_in_single_precision_has_the_same_signs() -> None:
    networks, x, targets = checkpoints(3), IMAGES.double() / 255, torch.tensor([5, 9, 2, 4])
    slow = torch.stack([gradient_of(networks, image, int(y)) for image, y in zip(x, targets, strict=True)])
    single = [deepcopy(network).float() for network in networks]
    assert signs_agree(Ensemble(single).mean_gradient(x.float(), targets).double(), slow, tiny=1e-3)


def test_a_confident_checkpoint_counts_for_more() -> None:
    # Were signs averaged, or gradients brought to one length first, the weak one would win pixels from the strong.
    weak, strong = checkpoints(2)[0], deepcopy(checkpoints(2)[1])
    with torch.no_grad():
        strong.classifier.head.weight *= 1000
    x, targets = IMAGES.double() / 255, torch.tensor([5, 9, 2, 4])
    both, strong_alone, weak_alone = (
        Ensemble(part).mean_gradient(x, targets) for part in ([weak, strong], [strong], [weak])
    )
    decided = strong_alone.abs() > weak_alone.abs()
    assert torch.equal(both.sign()[decided], strong_alone.sign()[decided])
    assert float((weak_alone.sign() != strong_alone.sign()).double().mean()) > 0.2


@pytest.mark.parametrize("count", [1, 3, 255, 256, 257, 300])
def test_the_number_of_images_in_a_call_does_not_matter(count: int) -> None:
    networks = checkpoints(2)
    x = noise(300, side=8).double() / 255
    targets = torch.arange(300) % 10
    fast = Ensemble(networks).mean_gradient(x[:count], targets[:count])
    for position in {0, count // 2, count - 1}:
        slow = gradient_of(networks, x[position], int(targets[position]))
        torch.testing.assert_close(fast[position], slow, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("budget", ["linf-2", "linf-8", "l2-1", "l2-0.25"])
@pytest.mark.parametrize(("name", "count"), [("sep", 3), ("sep-fast", 3), ("single-checkpoint", 1)])
def test_crafting_follows_the_algorithm_box(name: str, count: int, budget: str) -> None:
    networks, ball, steps = checkpoints(count), Budget.parse(budget), 4
    step = 1 / 255 if ball.norm == "linf" else 2.5 * ball.radius / steps
    slow, clear = slowly(networks, ball, [5, 9, 2, 4], step, steps)
    fast = crafted(name, networks, ball, checkpoints=count, steps=steps)
    assert float((clear > 1e-9).double().mean()) > 0.99
    torch.testing.assert_close(fast[clear > 1e-9], slow[clear > 1e-9], rtol=0, atol=1e-9)
    if ball.norm == "linf":
        expected = (slow * 255).round().to(torch.uint8)
        assert torch.equal(release(IMAGES, fast, ball)[clear > 1e-9], expected[clear > 1e-9])


def test_single_precision_releases_the_same_bytes_but_where_a_gradient_was_tiny() -> None:
    networks, ball = checkpoints(3), Budget.parse("linf-8")
    slow, clear = slowly(networks, ball, [5, 9, 2, 4], 1 / 255, 4)
    released = release(IMAGES, crafted("sep", networks, ball, dtype=torch.float32, checkpoints=3, steps=4), ball)
    differs = released != (slow * 255).round().to(torch.uint8)
    assert float(differs.double().mean()) < 0.005
    assert not bool(differs[clear > 1e-2].any())


@pytest.mark.parametrize(("classes", "targets"), [(10, [5, 9, 2, 4]), (100, [50, 54, 57, 59]), (11, [5, 9, 1, 3])])
def test_every_image_is_moved_towards_the_class_half_the_classes_ahead(classes: int, targets: list[int]) -> None:
    networks, ball = checkpoints(1, classes), Budget.parse("linf-4")
    slow, clear = slowly(networks, ball, targets, 1 / 255, 2)
    fast = crafted("sep", networks, ball, classes=classes, checkpoints=1, steps=2)
    torch.testing.assert_close(fast[clear > 1e-9], slow[clear > 1e-9], rtol=0, atol=1e-9)


def test_the_shift_and_the_step_can_be_chosen() -> None:
    networks, ball = checkpoints(1), Budget.parse("linf-8")
    slow, clear = slowly(networks, ball, [1, 5, 8, 0], 2.5 / 255, 3)
    fast = crafted("sep", networks, ball, checkpoints=1, steps=3, shift=1, step_size=2.5)
    torch.testing.assert_close(fast[clear > 1e-9], slow[clear > 1e-9], rtol=0, atol=1e-9)


def test_crafting_makes_the_target_class_likelier() -> None:
    (network,) = checkpoints(1)
    targets = torch.tensor([5, 9, 2, 4])
    protected = crafted("sep", [network], Budget.parse("linf-8"), checkpoints=1, steps=8)
    with torch.inference_mode():
        before, after = (
            network(x).log_softmax(1).gather(1, targets[:, None]) for x in (IMAGES.double() / 255, protected)
        )
    assert bool((after > before).all())


def test_the_defaults_cost_what_the_paper_spends() -> None:
    sep = METHODS.get("sep")()
    assert sep.passes() == 900
    assert [need.checkpoints for need in sep.needs()] == [30]
    assert [need.checkpoints for need in METHODS.get("single-checkpoint")().needs()] == [1]
