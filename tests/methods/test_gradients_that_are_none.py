"""Where a gradient is not finite no image is released: the sign of NaN is 0 to torch, which looks like no change."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bench.contracts.budget import Budget
from bench.contracts.context import CraftContext
from bench.contracts.method import METHODS, CraftData
from bench.contracts.network import Network
from bench.engine.release import BudgetExceeded, release
from bench.plan.checkpoints import checkpoint_name, load_checkpoints
from bench.store.artifacts import CorruptArtifact, Store
from tests.making.crafting import BUDGETS, CPU, digits, networks, small_params, stored

NEEDY = [name for name in METHODS.names() if METHODS.get(name)(small_params(METHODS.get(name))).needs()]


def overflowing(network: Network) -> Network:
    """Return a network whose weights are finite and whose outputs are not."""
    with torch.no_grad():
        network.classifier.get_parameter("bn1.weight").fill_(3e38)
    return network


def crafted(name: str, budget: Budget, parameters: dict[str, object]) -> Tensor:
    kind = METHODS.get(name)
    method = kind(small_params(kind).model_copy(update=parameters))
    images = digits()
    surrogates = [[overflowing(deepcopy(one)) for one in part] for part in networks(method)]
    ctx = CraftContext(surrogates, seed=0, device=CPU, images=len(images))
    data = CraftData(images.images.float() / 255, images.labels, 10, torch.arange(len(images)))
    method.prepare(lambda: iter([data]), ctx)
    return release(images.images, method.craft(data, budget, ctx), budget)


@pytest.mark.parametrize("budget", [BUDGETS["linf"], BUDGETS["l2"]], ids=str)
@pytest.mark.parametrize("name", NEEDY)
def test_an_overflowing_surrogate_protects_nothing_and_says_so(name: str, budget: Budget) -> None:
    with pytest.raises(BudgetExceeded, match="24 of 24 crafted images hold NaN or infinite values: a gradient that is"):
        crafted(name, budget, {})


def test_an_image_without_a_lowest_loss_is_not_left_as_it_is() -> None:
    with pytest.raises(BudgetExceeded, match="24 of 24 crafted images hold NaN"):
        crafted("single-checkpoint", BUDGETS["linf"], {"restarts": 2})


@pytest.mark.parametrize("budget", BUDGETS.values(), ids=str)
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_direction_is_none_where_the_gradient_is(budget: Budget, value: float) -> None:
    gradient = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    gradient[1, 2, 3, 3] = value
    direction = budget.direction(gradient)
    assert bool(direction[0].isfinite().all())
    assert not bool(direction[1, 2, 3, 3].isfinite())


def test_a_kept_checkpoint_with_weights_that_are_none_is_damaged(tmp_path: Path) -> None:
    store, method = Store(tmp_path), METHODS.get("single-checkpoint")()
    ((network,),) = networks(method)
    with torch.no_grad():
        network.classifier.head.bias[0] = torch.nan
    part = stored(store, 0, [network])
    with pytest.raises(CorruptArtifact, match=f"{checkpoint_name(0)} holds weights that are not finite"):
        list(load_checkpoints(part, digits(), store, CPU))
