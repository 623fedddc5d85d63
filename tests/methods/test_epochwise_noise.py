"""aue and mi-ue against loops over epochs, batches, images and pairs of images, in double precision."""

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from bench.checks.memory_keeper import MemoryKeeper
from bench.contracts.budget import Budget
from bench.contracts.context import CraftContext
from bench.contracts.method import METHODS
from bench.contracts.network import Network
from bench.core.errors import Stopped
from bench.core.seeds import derive
from methods._contrastive_views import contrastive, draw_contrastive
from methods.mi_ue import Scatter
from tests.making.networks import CPU
from tests.making.slow_learning import (
    CLASSES,
    SIDE,
    SlowSGD,
    context,
    pictures,
    tiny_network,
    tiny_networks,
    within,
)

__all__ = ["tiny_networks"]

pytestmark = pytest.mark.usefixtures("tiny_networks")

COUNT, BATCH, EPOCHS, STEPS, RATE, FINAL = 11, 4, 3, 2, 0.3, 0.01
BUDGET = Budget.parse("linf-8")
SMALL = {"epochs": EPOCHS, "batch_size": BATCH, "steps": STEPS, "lr": RATE, "final_lr": FINAL}
OF: dict[str, dict[str, Any]] = {"aue": {"strength": 0.9}, "mi-ue": {"noise_batch_size": 6}}


def crafted(name: str, ctx: CraftContext | None = None, **params: Any) -> Tensor:
    method = METHODS.get(name)
    given = method.Params.model_validate(SMALL | OF[name] | params)
    return method(given).craft(pictures(COUNT), BUDGET, ctx or context(COUNT))


class Slowly:
    """The alternation of both, with what differs left to `shown` and `moved`."""

    def __init__(self) -> None:
        self.ctx, self.data = context(COUNT), pictures(COUNT)
        seed = derive(self.ctx.seed, "weights")
        network = tiny_network("tiny", CLASSES, self.data.x, normalise=False, seed=seed, device=CPU).eval()
        self.sgd = SlowSGD(network, momentum=0.9, decay=1e-4)

    def protected(self) -> Tensor:
        images = self.data.x.clone()
        for epoch in range(EPOCHS):
            rate = FINAL + (RATE - FINAL) * (1 + math.cos(math.pi * epoch / EPOCHS)) / 2
            order = torch.randperm(COUNT, generator=self.ctx.generator("order", epoch)).tolist()
            for batch in range(COUNT // BATCH):
                chosen = order[batch * BATCH : (batch + 1) * BATCH]
                step = epoch * (COUNT // BATCH) + batch
                self.sgd.step(self.shown(images[chosen], step), self.data.y[chosen], rate)
            images = self.moved(images, epoch)
        return images

    def shown(self, batch: Tensor, step: int) -> Tensor:
        return batch

    def moved(self, images: Tensor, epoch: int) -> Tensor:
        raise NotImplementedError


class SlowAUE(Slowly):
    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength = strength

    def view(self, image: Tensor, index: int, count: int, *purpose: str | int) -> Tensor:
        """Return what is seen of one image, [1, 3, H, W], by the draws for it among those for so many."""
        if not self.strength:
            return image[None]
        drawn = draw_contrastive(count, self.strength, self.ctx.generator(*purpose), (SIDE, SIDE))
        return contrastive(image[None], drawn[slice(index, index + 1)])

    def shown(self, batch: Tensor, step: int) -> Tensor:
        return torch.cat([self.view(image, i, BATCH, "views", step) for i, image in enumerate(batch)])

    def moved(self, images: Tensor, epoch: int) -> Tensor:
        ends = []
        for index in range(COUNT):
            clean, image = self.data.x[index], images[index]
            for step in range(STEPS):
                image = image.detach().requires_grad_()
                logits = self.sgd.network(self.view(image, index, COUNT, "augment", epoch, 0, step))[0]
                (gradient,) = torch.autograd.grad(logits.logsumexp(0) - logits[self.data.y[index]], image)
                image = within(clean, image.detach() - 0.8 / 255 * gradient.sign(), 8 / 255)
            ends.append(image)
        return torch.stack(ends)


def scatter_slowly(network: Network, x: Tensor, y: Tensor, weight: float) -> Tensor:
    features = network.features(x)
    losses = []
    for i, own in enumerate(features):
        similar, everything, distance = torch.zeros(()), torch.zeros(()), torch.zeros(())
        for j, other in enumerate(features):
            cosine = (own * other).sum() / (own.norm() * other.norm())
            alike = torch.exp(cosine / 0.1) + 1e-8
            everything = everything + alike
            if y[i] == y[j]:
                similar = similar + alike
                distance = distance if i == j else distance + ((own - other) ** 2).sum().sqrt()
        losses.append(-torch.log(similar / everything) + weight * torch.log(1 + distance / len(own)))
    return torch.stack(losses).sum() / len(losses)


class SlowMIUE(Slowly):
    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def moved(self, images: Tensor, epoch: int) -> Tensor:
        ends = images.clone()
        order = torch.randperm(COUNT, generator=self.ctx.generator("noise", epoch)).tolist()
        length = (0.4 + (0.2 - 0.4) * (EPOCHS - (epoch + 1) + 1) / EPOCHS) / 255  # epochs are counted from 1 there
        for start in range(0, COUNT, 6):
            chosen = order[start : start + 6]
            batch = images[chosen]
            for _ in range(STEPS):
                batch = batch.detach().requires_grad_()
                network = self.sgd.network
                assert isinstance(network, Network)
                (gradient,) = torch.autograd.grad(
                    scatter_slowly(network, batch, self.data.y[chosen], self.weight), batch
                )
                pairs = zip(self.data.x[chosen], batch.detach() - length * gradient.sign(), strict=True)
                batch = torch.stack([within(clean, image, 8 / 255) for clean, image in pairs])
            ends[chosen] = batch
        return ends


@pytest.mark.parametrize("strength", [0.9, 0.0])
def test_aue_follows_the_published_loop(strength: float) -> None:
    slow = SlowAUE(strength).protected()
    torch.testing.assert_close(crafted("aue", strength=strength), slow, rtol=0, atol=1e-7)


@pytest.mark.parametrize("weight", [0.1, 5.0, 0.0])
def test_mi_ue_follows_the_published_loop(weight: float) -> None:
    slow = SlowMIUE(weight).protected()
    torch.testing.assert_close(crafted("mi-ue", distance_weight=weight), slow, rtol=0, atol=1e-7)


@pytest.mark.parametrize("weight", [0.1, 0.0])
def test_the_scatter_of_features_is_what_pairs_of_images_come_to(weight: float) -> None:
    data = pictures(7)
    network = tiny_network("tiny", CLASSES, data.x, normalise=False, seed=1, device=CPU).eval()
    found = Scatter(temperature=0.1, distance_weight=weight)(network, data.x, data.y)
    torch.testing.assert_close(found, scatter_slowly(network, data.x, data.y, weight), rtol=0, atol=1e-12)


def test_equal_images_have_a_gradient() -> None:
    data = pictures(6)
    x = data.x[:1].repeat(6, 1, 1, 1).requires_grad_()
    network = tiny_network("tiny", CLASSES, data.x, normalise=False, seed=1, device=CPU).eval()
    (gradient,) = torch.autograd.grad(Scatter(0.1, 0.1)(network, x, data.y), x)
    assert bool(gradient.isfinite().all())


def test_steps_lower_the_scatter_of_features() -> None:
    data, ctx = pictures(COUNT), context(COUNT)
    network = tiny_network(
        "tiny", CLASSES, data.x, normalise=False, seed=derive(ctx.seed, "weights"), device=CPU
    ).eval()
    moved = crafted("mi-ue", epochs=1, steps=20, lr=1e-9, final_lr=0, noise_batch_size=COUNT)
    with torch.no_grad():
        before, after = (float(Scatter(0.1, 0.1)(network, images, data.y)) for images in (data.x, moved))
    assert after < before


@pytest.mark.parametrize("name", ["aue", "mi-ue"])
def test_one_that_was_stopped_after_every_epoch_ends_with_the_same_bytes(name: str) -> None:
    keeper, starts = MemoryKeeper(), 0

    def stop() -> None:
        raise Stopped("of a test")

    while True:
        ctx = context(COUNT)
        ctx.keeper, ctx.on_round = keeper, stop
        starts += 1
        try:
            found = crafted(name, ctx)
            break
        except Stopped:
            continue
    assert starts == EPOCHS + 1
    assert torch.equal(found, crafted(name))


def test_the_defaults_cost_what_was_published() -> None:
    assert METHODS.get("aue")().passes() == 60 * (1 + 5)
    assert METHODS.get("mi-ue")().passes() == 100 * (1 + 10)


@pytest.mark.parametrize(("name", "length"), [("aue", 0.8), ("mi-ue", 0.2)])
def test_the_first_step_has_the_published_length(name: str, length: float) -> None:
    moved = 255 * (crafted(name, epochs=1, steps=1) - pictures(COUNT).x)
    assert float(moved.abs().max()) == pytest.approx(length)


@pytest.mark.parametrize("name", ["aue", "mi-ue"])
def test_a_rate_that_would_rise_is_refused_before_anything_is_trained(name: str) -> None:
    METHODS.get(name).Params.model_validate({"lr": 0.01, "final_lr": 0.01})
    with pytest.raises(ValidationError, match=r"final_lr is 0\.02 and above lr, 0\.01, from which it falls: lower it"):
        METHODS.get(name).Params.model_validate({"lr": 0.01, "final_lr": 0.02})


def test_views_are_drawn_once_for_all_blocks_of_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = crafted("aue")
    monkeypatch.setattr("methods._online._BLOCK_PIXELS", 2 * SIDE * SIDE)
    drawn, ctx = list[tuple[str | int, ...]](), context(COUNT)
    generator = ctx.generator

    def counting(*purpose: str | int) -> torch.Generator:
        drawn.append(purpose)
        return generator(*purpose)

    monkeypatch.setattr(ctx, "generator", counting)
    torch.testing.assert_close(crafted("aue", ctx), whole, rtol=0, atol=1e-12)
    assert [purpose for purpose in drawn if purpose[0] == "augment"] == [
        ("augment", epoch, 0, step) for epoch in range(EPOCHS) for step in range(STEPS)
    ]
