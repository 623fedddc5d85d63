"""TAP and hypocritical perturbations against loops over one image, one step and one pixel, in double precision."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor

import bench
from bench.contracts.budget import Budget
from bench.contracts.context import CraftContext
from bench.contracts.method import METHODS, CraftData
from bench.contracts.network import Network
from methods._pgd import ShiftsAndFlips
from tests.making.images import noise
from tests.making.networks import CPU, checkpoints
from tests.making.slow_sep import gradient_of
from tests.making.slow_views import scale, seen_from, within

SIDE, COUNT = 12, 3
IMAGES, LABELS = noise(COUNT, SIDE), torch.tensor([0, 4, 9])


def context() -> CraftContext:
    return CraftContext([[deepcopy(checkpoints(1)[0])]], seed=0, device=CPU, images=COUNT)


def crafted(name: str, budget: Budget, part: slice = slice(None), **params: Any) -> Tensor:
    method = METHODS.get(name)(METHODS.get(name).Params.model_validate(params))
    data = CraftData(IMAGES[part].double() / 255, LABELS[part], 10, torch.arange(COUNT)[part])
    ctx = context()
    method.prepare(lambda: iter([data]), ctx)
    return method.craft(data, budget, ctx)


def slowly(
    budget: Budget, labels: list[int], *, steps: int, fraction: float, start: bool, restarts: int = 1, sign: int = 1
) -> Tensor:
    ctx, network = context(), checkpoints(1)[0]
    colour, length = network.mean[0, :, 0], fraction * budget.radius
    finished = []
    for index, label in enumerate(labels):
        clean = IMAGES[index].double() / 255
        ends: list[tuple[float, Tensor]] = []
        for restart in range(restarts):
            moved = clean.clone()
            if start:
                drawn = torch.randn(3, SIDE, SIDE, generator=ctx.generator("start", restart, index)).double()
                moved = within(clean, clean + drawn * scale(budget, 3 * SIDE * SIDE), budget)
            for step in range(steps):
                view = torch.rand(COUNT, 3, generator=ctx.generator("augment", restart, step))[index]
                matrix = seen_from(view, SIDE)
                seen = ((moved.flatten(1) - colour) @ matrix.T + colour).view_as(clean)
                gradient = sign * (gradient_of([network], seen, label).flatten(1) @ matrix).view_as(clean)
                direction = gradient.sign() if budget.norm == "linf" else gradient / gradient.norm()
                moved = within(clean, moved - length * direction, budget)
            ends.append((sign * loss_of(network, moved, label), moved))
        finished.append(min(ends, key=lambda end: end[0])[1])
    return torch.stack(finished)


def loss_of(network: Network, image: Tensor, label: int) -> float:
    with torch.no_grad():
        logits = network(image[None])[0]
    return float(logits.logsumexp(0) - logits[label])


@pytest.mark.parametrize("budget", ["linf-8", "l2-1.0"])
@pytest.mark.parametrize(
    ("name", "labels", "sign"), [("tap", [1, 5, 0], 1), ("tap-untargeted", [0, 4, 9], -1)], ids=["targeted", "not"]
)
def test_tap_follows_the_published_loop(name: str, labels: list[int], sign: int, budget: str) -> None:
    within_it = Budget.parse(budget)
    slow = slowly(within_it, labels, steps=3, fraction=0.05, start=True, restarts=2, sign=sign)
    torch.testing.assert_close(crafted(name, within_it, steps=3, restarts=2), slow, rtol=0, atol=1e-7)


def test_hypocritical_perturbations_follow_the_published_loop() -> None:
    budget = Budget.parse("linf-8")
    slow = slowly(budget, LABELS.tolist(), steps=3, fraction=0.1, start=False)
    torch.testing.assert_close(crafted("hypo", budget, steps=3), slow, rtol=0, atol=1e-7)


@pytest.mark.parametrize(("name", "moved"), [("tap", "target"), ("tap-untargeted", "away"), ("hypo", "own")])
def test_perturbations_do_to_the_loss_what_they_are_for(name: str, moved: str) -> None:
    params: dict[str, Any] = {"steps": 30} if name == "hypo" else {"steps": 30, "restarts": 1}
    after, before = crafted(name, Budget.parse("linf-8"), **params), IMAGES.double() / 255
    labels = (LABELS + 1) % 10 if moved == "target" else LABELS
    for clean, found, label in zip(before, after, labels.tolist(), strict=True):
        rose = loss_of(checkpoints(1)[0], found, label) > loss_of(checkpoints(1)[0], clean, label)
        assert rose == (moved == "away")


@pytest.mark.parametrize("name", ["tap", "tap-untargeted", "hypo"])
def test_an_image_is_moved_alike_whatever_shard_it_is_in(name: str) -> None:
    params: dict[str, Any] = {"steps": 2} if name == "hypo" else {"steps": 2, "restarts": 2}
    whole = crafted(name, Budget.parse("linf-8"), **params)
    alone = crafted(name, Budget.parse("linf-8"), slice(1, 2), **params)
    torch.testing.assert_close(alone, whole[1:2], rtol=0, atol=1e-9)


def test_what_comes_in_from_outside_is_what_a_network_takes_for_zero() -> None:
    colour = torch.tensor([0.25, 0.5, 0.75]).view(3, 1, 1)
    data = CraftData(torch.ones(COUNT, 3, 8, 8), LABELS, 10, torch.arange(COUNT))
    seen = ShiftsAndFlips(colour, share=1.0)(data, context(), 0)(data.x)  # by as much as the whole image
    assert bool((seen >= colour - 1e-6).all())
    for channel in range(3):
        assert float(seen[:, channel].min()) == pytest.approx(float(colour[channel]), abs=1e-6)


def test_the_defaults_cost_what_was_published() -> None:
    assert [METHODS.get(name)().passes() for name in ("tap", "tap-untargeted", "hypo")] == [2000, 2000, 100]


@pytest.mark.slow
def test_a_run_trains_what_each_of_them_asks_for(tmp_path: Any) -> None:
    quick, hypo = {"steps": 2, "restarts": 1, "surrogate": "recipe"}, {"steps": 2, "epochs": 1, "attack_steps": 1}
    done = bench.run(
        {
            "name": "poisons",
            "recipe": {"name": "digits", "epochs": 2},
            "dataset": {"name": "digits", "limit": 60, "test_limit": 40},
            "surrogate": "resnet8",
            "budgets": ["linf-8"],
            "methods": [
                {"tap": quick},
                {"tap-untargeted": quick},
                {"hypo": hypo},
            ],
            "victims": ["resnet8"],
        },
        home=tmp_path,
        progress=False,
        mlflow=False,
    )
    by_method = {record.method: record for record in done.measured}
    tap, untargeted, own = (by_method[name] for name in ("tap", "tap-untargeted", "hypo"))
    assert tap.surrogate_keys == untargeted.surrogate_keys != own.surrogate_keys
    assert (tap.linf_levels, untargeted.linf_levels, own.linf_levels) == (8, 8, 2)  # of hypo two steps of 0.8
