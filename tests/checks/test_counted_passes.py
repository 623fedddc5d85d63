"""What crafting costs is counted: a gradient is one pass, one that is differentiated itself makes it three."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.checks.failure import Failure
from bench.checks.inputs import BUDGETS, small_params
from bench.checks.of_methods import Case, counted_images, takes_the_passes_that_it_says
from bench.contracts.method import METHODS

NETWORK = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Softplus(), nn.Flatten(), nn.Linear(64, 2))
WEIGHTS = tuple(NETWORK.parameters())


def of_images(x: Tensor) -> None:
    torch.autograd.grad(NETWORK(x.requires_grad_()).square().sum(), x)


def of_weights(x: Tensor) -> None:
    torch.autograd.grad(NETWORK(x).square().sum(), WEIGHTS)


def of_images_through_weights(x: Tensor) -> None:
    gradients = torch.autograd.grad(NETWORK(x.requires_grad_()).square().sum(), WEIGHTS, create_graph=True)
    torch.autograd.grad(torch.stack([one.square().sum() for one in gradients]).sum(), x)


def none(x: Tensor) -> None:
    with torch.no_grad():
        NETWORK(x)


@pytest.mark.parametrize(
    ("call", "passes"), [(none, 0), (of_images, 1), (of_weights, 1), (of_images_through_weights, 3)]
)
def test_an_image_is_counted_as_often_as_it_costs(call: Callable[[Tensor], None], passes: int) -> None:
    with counted_images() as counts:
        call(torch.rand(5, 3, 6, 6))
        call(torch.rand(2, 3, 6, 6))
    assert (counts["forward"], counts["backward"] + counts["kept"]) == (7, 7 * passes)


@pytest.mark.parametrize(("name", "said", "taken"), [("gradient-alignment", 3, 7), ("tensorclog", 2, 6)])
def test_a_method_that_counts_a_step_of_three_passes_as_one_is_found(
    name: str, said: int, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = METHODS.get(name)
    monkeypatch.setattr(kind, "passes", lambda self: said)
    with pytest.raises(Failure, match=f"passes returns {said}, and crafting takes {taken} gradient passes"):
        takes_the_passes_that_it_says(Case(kind, small_params(kind), BUDGETS["linf"]))


@pytest.mark.parametrize(
    ("name", "given", "networks"),
    [
        ("sep-fa", {"checkpoints": 3}, 3),
        ("sep-fa-vr", {"checkpoints": 2, "train_mode_means": True}, 3),
        ("seed-ensemble", {"runs": 2, "loss": "feature-alignment"}, 2),
        ("architecture-ensemble", {"networks": ("resnet8", "resnet10"), "loss": "feature-alignment"}, 2),
    ],
)
def test_features_that_are_averaged_before_cost_a_pass_forward_of_each_network(
    name: str, given: dict[str, Any], networks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = METHODS.get(name)
    params = small_params(kind).model_copy(update=given)
    budget = BUDGETS["linf"]
    assert kind(params).forward_passes() == networks
    takes_the_passes_that_it_says(Case(kind, params, budget))
    monkeypatch.setattr(kind, "forward_passes", lambda self: networks - 1)
    sentence = (
        f"forward_passes returns {networks - 1}, and crafting takes {networks} passes of each image that go forward"
    )
    with pytest.raises(Failure, match=sentence):
        takes_the_passes_that_it_says(Case(kind, params, budget))
