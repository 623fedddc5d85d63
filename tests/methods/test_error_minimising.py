"""Error-minimising noise against loops over rounds, batches and images, in double precision."""

from typing import Any

import pytest
import torch
from torch import Tensor

from bench.checks.memory_keeper import MemoryKeeper
from bench.contracts.budget import Budget
from bench.contracts.context import CraftContext
from bench.contracts.method import METHODS, Method
from bench.core.errors import SepbenchError, Stopped
from bench.core.seeds import derive
from bench.engine.release import release
from tests.making.networks import CPU
from tests.making.slow_learning import (
    CLASSES,
    SlowSGD,
    context,
    mistakes,
    pictures,
    tiny_network,
    tiny_networks,
    within,
)
from tests.making.slow_sep import gradient_of

__all__ = ["tiny_networks"]

pytestmark = pytest.mark.usefixtures("tiny_networks")

COUNT, BATCH, BATCHES, RATE, STOP, CLIP = 11, 3, 3, 0.3, 0.1, 0.5
BUDGET = Budget.parse("linf-8")
LENGTH = 0.8 / 255
FAST: dict[str, Any] = {"batch_size": BATCH, "batches": BATCHES, "lr": RATE, "stop_error": STOP, "clip_gradient": CLIP}
"""Four batches an epoch, the last of two images, and three a round: rounds begin anywhere in an epoch."""


def em(**params: Any) -> Method:
    kind = METHODS.get("em")
    return kind(kind.Params.model_validate(FAST | params))


def crafted(ctx: CraftContext | None = None, **params: Any) -> Tensor:
    return em(**params).craft(pictures(COUNT), BUDGET, ctx or context(COUNT))


def fresh(ctx: CraftContext) -> SlowSGD:
    data = pictures(COUNT)
    seed = derive(ctx.seed, "weights")
    network = tiny_network("tiny", CLASSES, data.x, normalise=False, seed=seed, device=CPU).eval()
    return SlowSGD(network, momentum=0.9, decay=5e-4, clip=CLIP)


def by_sample_slowly(steps: int, rounds: int = 20) -> tuple[Tensor, list[float]]:
    """Return the protected images, and the share of them that the network mistakes after each round."""
    data, sgd = pictures(COUNT), fresh(context(COUNT))
    delta, position, errors = torch.zeros_like(data.x), 0, []
    for _ in range(rounds):
        for _ in range(BATCHES):
            batch = range(position, min(position + BATCH, COUNT))
            sgd.step((data.x + delta)[batch], data.y[batch], RATE)
            position = batch.stop % COUNT
        for index in range(COUNT):
            clean = data.x[index]
            for _ in range(steps):
                gradient = gradient_of([sgd.network], clean + delta[index], int(data.y[index]))
                delta[index] = within(clean, clean + delta[index] - LENGTH * gradient.sign(), 8 / 255) - clean
        errors.append(mistakes(sgd.network, data.x + delta, data.y))
        if errors[-1] <= STOP:
            break
    return data.x + delta, errors


def by_class_slowly(portion: float, steps: int, rounds: int = 20) -> tuple[Tensor, list[float]]:
    """Return the protected images, and the share of the portion that the network mistakes after each round."""
    ctx, data = context(COUNT), pictures(COUNT)
    sgd, errors = fresh(ctx), []
    count = round(portion * COUNT)
    subset = torch.randperm(COUNT, generator=ctx.generator("portion")).tolist()[:count]
    delta, step = torch.zeros(CLASSES, *data.x.shape[1:], dtype=torch.float64), 0
    for round_ in range(rounds):
        for _ in range(BATCHES):
            epoch, batch = divmod(step, count // BATCH)  # what does not fill a batch is left out of an epoch
            order = torch.randperm(count, generator=ctx.generator("order", epoch)).tolist()
            chosen = [subset[place] for place in order[batch * BATCH : (batch + 1) * BATCH]]
            sgd.step(torch.stack([data.x[one] + delta[data.y[one]] for one in chosen]), data.y[chosen], RATE)
            step += 1
        order = torch.randperm(count, generator=ctx.generator("noise", round_)).tolist()
        for batch in range(count // BATCH):
            ends: dict[int, list[Tensor]] = {}
            for place in order[batch * BATCH : (batch + 1) * BATCH]:
                clean, label = data.x[subset[place]], int(data.y[subset[place]])
                moved = within(clean, clean + delta[label], 8 / 255)
                for _ in range(steps):
                    gradient = gradient_of([sgd.network], moved, label)
                    moved = within(clean, moved - LENGTH * gradient.sign(), 8 / 255)
                ends.setdefault(label, []).append(moved - clean)
            for label, several in ends.items():
                delta[label] = torch.stack(several).sum(0) / len(several)
        errors.append(mistakes(sgd.network, (data.x + delta[data.y])[subset], data.y[subset]))
        if errors[-1] <= STOP:
            break
    ends_at = [within(x, x + delta[label], 8 / 255) for x, label in zip(data.x, data.y, strict=True)]
    return torch.stack(ends_at), errors


def rounds_of(ctx: CraftContext) -> list[None]:
    """Return a list that gets an entry for every round that is done with a context."""
    done: list[None] = []
    ctx.on_round = lambda: done.append(None)
    return done


def test_sample_wise_noise_follows_the_published_loop_until_the_error_is_small() -> None:
    slow, errors = by_sample_slowly(steps=4)
    done = rounds_of(ctx := context(COUNT))
    torch.testing.assert_close(crafted(ctx, steps=4), slow, rtol=0, atol=1e-7)
    assert len(done) == len(errors) == 3
    assert ctx.spent == 3 * 4 * COUNT + (3 + 3 + 3) + (2 + 3 + 3) + (3 + 2 + 3)


@pytest.mark.parametrize(("portion", "steps"), [(1.0, 1), (0.75, 2)])
def test_class_wise_noise_follows_the_published_loop_until_the_error_is_small(portion: float, steps: int) -> None:
    slow, errors = by_class_slowly(portion, steps)
    done = rounds_of(ctx := context(COUNT))
    found = crafted(ctx, noise="class-wise", portion=portion, steps=steps)
    torch.testing.assert_close(found, slow, rtol=0, atol=1e-7)
    assert len(done) == len(errors) > 1


@pytest.mark.parametrize("kind", ["sample-wise", "class-wise"])
def test_it_fails_where_its_rounds_are_used_up_also_when_it_goes_on_after_the_last(kind: str) -> None:
    keeper = MemoryKeeper()
    for _ in range(2):
        ctx = context(COUNT)
        ctx.keeper, done = keeper, rounds_of(ctx)
        with pytest.raises(SepbenchError, match=r"em: after 1 round its network mistakes .* raise rounds, batches or"):
            crafted(ctx, noise=kind, rounds=1, lr=1e-6, portion=1.0)
    assert not done


def test_one_that_was_stopped_after_every_round_stops_for_good_at_the_same_round() -> None:
    keeper, starts = MemoryKeeper(), 0

    def stop() -> None:
        raise Stopped("of a test")

    while True:
        ctx = context(COUNT)
        ctx.keeper, ctx.on_round = keeper, stop
        starts += 1
        try:
            found = crafted(ctx, steps=4)
            break
        except Stopped:
            continue
    undisturbed = crafted(whole := context(COUNT), steps=4)
    assert starts == 3 + 1
    assert torch.equal(found, undisturbed)
    assert ctx.spent == whole.spent


def test_a_class_that_the_portion_has_no_image_of_is_named() -> None:
    with pytest.raises(SepbenchError, match=r"em: of class \d no image is among the 2 that .*: raise portion"):
        crafted(noise="class-wise", portion=0.1)


def test_as_released_no_value_is_darker_than_it_was() -> None:
    clean, whole, half = pictures(COUNT).x, crafted(), crafted(positive_half_only=True)
    assert bool((whole < clean).any())
    assert torch.equal(half, torch.maximum(whole, clean))


def test_as_released_values_are_cut_to_bytes() -> None:
    data, method = pictures(COUNT), em(truncate=True)
    found = method.craft(data, BUDGET, context(COUNT)).float()
    clean = (255 * data.x).round().byte()
    assert torch.equal(release(clean, found, BUDGET, method.rounding), (255 * found).floor().byte())
    assert not torch.equal(release(clean, found, BUDGET), (255 * found).floor().byte())


def test_it_costs_at_most_20_steps_a_round_of_each_image_or_1_of_each_in_the_portion() -> None:
    method = METHODS.get("em")
    by_class = method(method.Params.model_validate({"noise": "class-wise"}))
    assert method().passes() == 50 * 20
    assert by_class.passes() == 50 * 1 * 0.2
    assert method().image_passes() == by_class.image_passes() == 50 * 10 * 512
