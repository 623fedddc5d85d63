"""On a GPU no step of a method waits for it: Python is ahead with the next kernels, or the GPU has nothing to do."""

from collections import Counter
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.checks.inputs import ARCHITECTURE, BUDGETS, CPU, digits, networks
from bench.contracts.budget import UNLIMITED
from bench.contracts.context import CraftContext
from bench.contracts.method import METHODS, CraftData
from bench.core.device import sent
from bench.core.norms import Norm
from methods import _contrastive_views
from methods._contrastive_views import draw_contrastive
from methods._online import part_of
from tests.making.crafting import small_params
from tests.making.pretended_gpu import BACK, EXPONENTIAL, GPU, MASKED, READ, SENT, SOLVED, pretended_gpu

pytestmark = pytest.mark.slow

COUNTED = ("steps", "inner_steps", "noise_steps", "samples", "restarts")
"""Parameters that say how many steps there are of some kind."""

IN_A_STEP = {("ntga", "steps"): {EXPONENTIAL: 4, SOLVED: 2}}
"""Of its two blocks: torch looks at the norm of the kernel before it takes the exponential, there and back, which is
most of the work of a step, and at what the solver says, so that a kernel without an inverse is an error."""

IN_A_ROUND = {
    ("aue", "epochs"): {READ: 1},
    ("deepconfuse", "epochs"): {READ: 4},
    ("deepconfuse", "trials"): {READ: 4, SENT: 58},
    ("gue", "epochs"): {READ: 2},
    ("mi-ue", "epochs"): {READ: 1, SENT: 1},
}
"""Each epoch it is seen whether the networks are finite, of deepconfuse in each of two trials; mi-ue sends its order, a
trial of deepconfuse a fresh network."""

NORMS = {name: METHODS.get(name).norms[:1] or (None,) for name in METHODS.names() if name != "brought"}
CASES = [(name, norm) for name, (norm, *_) in NORMS.items()] + [("sep", "l2"), ("random-noise", "l0")]


@cache
def crafted(name: str, norm: Norm | None, device: torch.device = GPU, **params: Any) -> tuple[Counter[str], Tensor]:
    """Return how often a method waits while it crafts eight digits, and what it makes of them."""
    kind = METHODS.get(name)
    method = kind(kind.Params.model_validate({**small_params(kind).model_dump(), **params}))
    with pretended_gpu() as waits:
        ctx = CraftContext(
            [[network.to(device) for network in found] for found in networks(method)],
            seed=0,
            device=device,
            images=8,
            architecture=ARCHITECTURE if method.trains else "",
        )
        method.prepare(lambda: iter([part(device)]), ctx)
        data = part(device)
        waits.clear()
        found = method.craft(data, BUDGETS[norm] if norm else UNLIMITED, ctx)
        return Counter(waits), found.cpu()


def part(device: torch.device) -> CraftData:
    images = sent(digits().images[:8], device).float() / 255
    return CraftData(images, sent(digits().labels[:8], device), 10, torch.arange(8))


def of_one_more(name: str, norm: Norm | None, field: str) -> dict[str, int]:
    """Return what one more of a parameter adds to the waiting."""
    few = getattr(small_params(METHODS.get(name)), field)
    more = Counter(crafted(name, norm, **{field: few + 1})[0])
    more.subtract(crafted(name, norm)[0])
    return {reason: count for reason, count in more.items() if count}


def counts_of(name: str) -> list[str]:
    return [one for one in COUNTED if isinstance(getattr(small_params(METHODS.get(name)), one, None), int)]


@pytest.mark.parametrize(("name", "norm", "field"), [(*case, field) for case in CASES for field in counts_of(case[0])])
def test_a_step_does_not_wait(name: str, norm: Norm | None, field: str) -> None:
    assert of_one_more(name, norm, field) == IN_A_STEP.get((name, field), {})


def test_starts_and_views_of_a_step_do_not_wait() -> None:
    options = {"start": "normal", "augment": True}
    assert not crafted("single-checkpoint", "linf", **options, restarts=2)[0].total()


def test_class_wise_noise_is_averaged_without_looking_for_classes_on_the_device() -> None:
    options = {"noise": "class-wise", "portion": 1.0}
    of_two, of_one = (crafted("em", "linf", **options, batch_size=size)[0] for size in (4, 8))
    assert of_two == of_one, "it waits in each batch"


@pytest.mark.parametrize(("name", "field"), IN_A_ROUND)
def test_a_round_waits_no_more_often_than_it_says(name: str, field: str) -> None:
    assert of_one_more(name, "linf", field) == IN_A_ROUND[name, field]


def test_a_round_of_em_looks_at_its_network_and_at_what_it_has_learnt() -> None:
    assert crafted("em", "linf")[0][READ] == 2


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_a_call_waits_a_few_times_at_most_but_for_what_it_trains(name: str, norm: Norm | None) -> None:
    waits, _ = crafted(name, norm)
    assert not waits[MASKED]
    assert waits[BACK] <= 1
    if not METHODS.get(name).trains:
        assert waits[SENT] <= 2


@pytest.mark.parametrize(("name", "norm"), [case for case in CASES if not METHODS.get(case[0]).trains])
def test_the_way_of_the_gpu_is_that_of_the_cpu(name: str, norm: Norm | None) -> None:
    assert torch.equal(crafted(name, norm)[1], crafted(name, norm, CPU)[1])


@pytest.mark.parametrize(("device", "times"), [(GPU, 2), (CPU, 4)])
def test_a_gpu_does_not_wait_for_the_views_of_all_images_in_every_shard(
    device: torch.device, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    draws: list[int] = []

    def noted(count: int, *arguments: Any) -> _contrastive_views.ContrastiveDraws:
        draws.append(count)
        return draw_contrastive(count, *arguments)

    monkeypatch.setattr(_contrastive_views, "draw_contrastive", noted)
    kind = METHODS.get("aap")
    method = kind(kind.Params.model_validate({"steps": 2}))
    with pretended_gpu():
        found = [[network.to(device) for network in of_run] for of_run in networks(method)]
        ctx, data = CraftContext(found, seed=0, device=device, images=8), part(device)
        method.prepare(lambda: iter([data]), ctx)
        whole = method.craft(data, BUDGETS["linf"], ctx).cpu()
        shards = [part_of(data, slice(start, start + 4)) for start in (0, 4)]
        draws.clear()
        method.prepare(lambda: iter([data]), ctx)
        found_again = torch.cat([method.craft(shard, BUDGETS["linf"], ctx) for shard in shards]).cpu()
    assert draws == [8] * times
    assert float((whole != found_again).float().mean()) < 0.01
