"""em-online, rem and sem against loops over steps, samples, images and pixels, in double precision."""

from typing import Any

import pytest
import torch
from torch import Tensor

from bench.contracts.budget import Budget
from bench.contracts.context import CraftContext
from bench.contracts.method import METHODS
from bench.contracts.normalisation import Constants
from bench.core.seeds import derive
from bench.engine.step import Diverged
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
from tests.making.slow_sep import gradient_of

__all__ = ["tiny_networks"]

pytestmark = pytest.mark.usefixtures("tiny_networks")

COUNT, BATCH, STEPS, RATE, DROPS = 8, 3, 4, 0.3, (1, 3)
BUDGET = Budget.parse("linf-8")
NOISE_STEPS = 3
SMALL = {"steps": STEPS, "batch_size": BATCH, "lr": RATE, "lr_drops": DROPS, "noise_steps": NOISE_STEPS}
ROBUST: dict[str, Any] = {"samples": 2, "radius": 4, "attack_steps": 2}


def crafted(name: str, ctx: CraftContext | None = None, **params: Any) -> Tensor:
    method = METHODS.get(name)
    given = method.Params.model_validate(SMALL | params)
    return method(given).craft(pictures(COUNT), BUDGET, ctx or context(COUNT))


class Views:
    """The random crops and flips of a few images, pixel by pixel."""

    def __init__(self, count: int, generator: torch.Generator) -> None:
        self._top = torch.randint(9, (count,), generator=generator)
        self._left = torch.randint(9, (count,), generator=generator)
        self._flip = torch.rand(count, generator=generator) < 0.5

    def seen(self, index: int, image: Tensor) -> Tensor:
        """Return the window of an image in a black border of 4 pixels, mirrored where that was drawn."""
        seen = torch.zeros_like(image)
        for row, column, from_row, from_column in self._pixels(index):
            seen[:, row, column] = image[:, from_row, from_column]
        return seen

    def sent_back(self, index: int, gradient: Tensor) -> Tensor:
        """Return the gradient of the image from that of what is seen of it."""
        sent = torch.zeros_like(gradient)
        for row, column, from_row, from_column in self._pixels(index):
            sent[:, from_row, from_column] += gradient[:, row, column]
        return sent

    def _pixels(self, index: int) -> list[tuple[int, int, int, int]]:
        found = []
        for row in range(SIDE):
            for column in range(SIDE):
                from_row = row + int(self._top[index]) - 4
                from_column = (SIDE - 1 - column if self._flip[index] else column) + int(self._left[index]) - 4
                if 0 <= from_row < SIDE and 0 <= from_column < SIDE:
                    found.append((row, column, from_row, from_column))
        return found


class Slowly:
    """The published loop of rem, with the adversary of sem's noise, or without crops and adversary, as em-online."""

    def __init__(self, *, samples: int = 0, radius: float = 0.0, attack_steps: int = 0, adversary: bool = True) -> None:
        self.samples, self.radius, self.attack_steps, self.adversary = samples, radius / 255, attack_steps, adversary
        self.ctx, self.data = context(COUNT), pictures(COUNT)
        network = tiny_network(
            "tiny",
            CLASSES,
            self.data.x,
            normalise=True,
            seed=derive(self.ctx.seed, "weights"),
            device=CPU,
            constants=Constants(mean=(0.5, 0.5, 0.5), std=(1.0, 1.0, 1.0)),
        ).eval()
        self.sgd = SlowSGD(network, momentum=0.9, decay=5e-4)

    def protected(self) -> Tensor:
        for step in range(STEPS):
            epoch, batch = divmod(step, COUNT // BATCH)
            order = torch.randperm(COUNT, generator=self.ctx.generator("order", epoch)).tolist()
            chosen = order[batch * BATCH : (batch + 1) * BATCH]
            images = self.noisy(chosen, "training", step)
            views = Views(BATCH, self.ctx.generator("training", step, "crop"))
            seen = [views.seen(place, image) for place, image in enumerate(images)]
            moves = self.drawn(BATCH, "training", step, "adversary")
            shown = [
                self.attacked(one, moved, int(self.data.y[index]))
                for one, moved, index in zip(seen, moves, chosen, strict=True)
            ]
            rate = RATE if step < DROPS[0] else RATE / 10 if step < DROPS[1] else RATE / 100
            self.sgd.step(torch.stack(shown), self.data.y[chosen], rate)
        blocks = range(0, COUNT, BATCH)
        ends = [
            self.noisy([*range(start, min(start + BATCH, COUNT))], "last search", number)
            for number, start in enumerate(blocks)
        ]
        return torch.cat(ends)

    def noisy(self, chosen: list[int], *purpose: str | int) -> Tensor:
        """Return images with noise in whole levels that lowers their loss."""
        count, starts = len(chosen), self.drawn(len(chosen), *purpose, "start")
        clean = self.data.x[chosen]
        images = [within(x, x + 8 / 255 * start, 8 / 255) for x, start in zip(clean, starts, strict=True)]
        for step in range(NOISE_STEPS):
            totals = [torch.zeros_like(image) for image in images]
            for sample in range(max(self.samples, 1)):
                of_step = (*purpose, "noise", step)
                views = Views(count, self.ctx.generator(*of_step, "crop", sample))
                moves = self.drawn(count, *of_step, "adversary", sample)
                for place, index in enumerate(chosen):
                    label = int(self.data.y[index])
                    seen = views.seen(place, images[place]) if self.samples else images[place]
                    at = self.attacked(seen, moves[place], label) if self.adversary else self.near(seen, moves[place])
                    gradient = gradient_of([self.sgd.network], at, label)
                    totals[place] += views.sent_back(place, gradient) if self.samples else gradient
            images = [
                within(x, image - 1.6 / 255 * total.sign(), 8 / 255)
                for x, image, total in zip(clean, images, totals, strict=True)
            ]
        return (255 * torch.stack(images)).round() / 255

    def drawn(self, count: int, *purpose: str | int) -> Tensor:
        """Return what is uniform between -1 and 1 for each value of so many images."""
        return 2 * torch.rand(count, 3, SIDE, SIDE, generator=self.ctx.generator(*purpose)).double() - 1

    def near(self, seen: Tensor, moved: Tensor) -> Tensor:
        return (seen + self.radius * moved).clamp(0, 1)

    def attacked(self, seen: Tensor, moved: Tensor, label: int) -> Tensor:
        image = self.near(seen, moved)
        for _ in range(self.attack_steps):
            gradient = gradient_of([self.sgd.network], image, label)
            image = within(seen, image + self.radius / 5 * gradient.sign(), self.radius)
        return image


def test_em_online_follows_the_published_loop() -> None:
    torch.testing.assert_close(crafted("em-online"), Slowly().protected(), rtol=0, atol=1e-7)


def test_rem_follows_the_published_loop() -> None:
    slow = Slowly(samples=2, radius=4, attack_steps=2).protected()
    torch.testing.assert_close(crafted("rem", **ROBUST), slow, rtol=0, atol=1e-7)


def test_sem_follows_the_published_loop() -> None:
    slow = Slowly(samples=2, radius=4, attack_steps=2, adversary=False).protected()
    torch.testing.assert_close(crafted("sem", **ROBUST), slow, rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", ["rem", "sem"])
def test_without_adversary_and_crops_it_is_em_online(name: str) -> None:
    online = crafted("em-online")
    assert torch.equal(crafted(name, radius=0, samples=0), online)
    assert not torch.equal(crafted(name, radius=4, samples=0, attack_steps=2), online)
    assert not torch.equal(crafted(name, radius=0, samples=1), online)


def test_their_noises_are_others() -> None:
    assert not torch.equal(crafted("rem", **ROBUST), crafted("sem", **ROBUST))


@pytest.mark.parametrize("name", ["em-online", "rem", "sem"])
def test_noise_is_kept_in_whole_levels(name: str) -> None:
    moved = 255 * (crafted(name) - pictures(COUNT).x)
    torch.testing.assert_close(moved, moved.round(), rtol=0, atol=1e-9)
    assert float(moved.abs().max()) == pytest.approx(8)


@pytest.mark.parametrize(
    ("name", "searched", "learnt"), [("em-online", 10, 1), ("rem", 10 * 5 * (10 + 1), 11), ("sem", 10 * 5, 11)]
)
def test_the_defaults_cost_what_was_published(name: str, searched: int, learnt: int) -> None:
    method = METHODS.get(name)()
    assert method.passes() == searched
    assert method.image_passes() == 5000 * 128 * (searched + learnt)


@pytest.mark.parametrize("params", [{}, {"radius": 0}, {"samples": 0}], ids=str)
@pytest.mark.parametrize("name", ["em-online", "rem", "sem"])
def test_full_batches_cost_exactly_what_is_said(name: str, params: dict[str, Any]) -> None:
    given = {} if name == "em-online" else {**ROBUST, **params}
    kind = METHODS.get(name)
    said = kind(kind.Params.model_validate(SMALL | given))
    crafted(name, ctx := context(COUNT), **given)
    assert ctx.spent == said.passes() * COUNT + said.image_passes()


@pytest.mark.parametrize("name", ["em-online", "rem", "sem"])
def test_a_network_that_leaves_the_finite_numbers_ends_it_long_before_the_last_step(name: str) -> None:
    given = {} if name == "em-online" else ROBUST
    with pytest.raises(Diverged, match=r"not finite after step \d{1,2}: lower its learning rate"):
        crafted(name, lr=1e38, steps=1000, lr_drops=(), **given)
