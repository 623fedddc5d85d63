"""One step of SGD, and what has to be kept so that a training run can go on: for whatever trains here."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from bench.core.device import precision
from bench.engine.recipe import Recipe

Weights = dict[str, Tensor]


class Diverged(Exception):  # noqa: N818 - reads as what it is
    """Training left the finite numbers: a loss, the weights, or what the network makes of the test images."""

    def __init__(
        self, what: str, advice: str = "lower recipe.lr, or bound the gradient with recipe.clip_gradient"
    ) -> None:
        super().__init__(f"{what}: {advice}")


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the SGD of a recipe; its rate is set for every batch."""
    return torch.optim.SGD(
        network.parameters(),
        lr=recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.nesterov,
        fused=next(network.parameters()).device.type == "cuda",
    )


def sgd_step(
    network: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, rate: float, loss: Callable[[], Tensor]
) -> Tensor:
    """Move the weights once along the gradient of a loss; return the loss, a scalar, detached.

    The loss is taken in the number format of the recipe, and the gradient bounded as it says.
    """
    device = next(network.parameters()).device
    for group in optimizer.param_groups:
        group["lr"] = rate
    with autocast_for(device, precision(device, recipe.precision)):
        found = loss()
    optimizer.zero_grad(set_to_none=True)
    found.backward()
    if recipe.clip_gradient is not None:
        nn.utils.clip_grad_norm_(network.parameters(), recipe.clip_gradient)
    optimizer.step()
    return found.detach()


def autocast_for(device: torch.device, number_format: str, *, cached: bool = True) -> torch.autocast:
    """Return the autocast in which networks of a number format, as `precision` returns it, run.

    Weights are cast once for each time that it is entered, or where it is not `cached` once for each use.
    """
    return torch.autocast(
        device.type, dtype=torch.bfloat16, enabled=number_format == "bf16", cache_enabled=None if cached else False
    )


def not_finite(network: nn.Module) -> str | None:
    """Return the name of a weight or a statistic that holds values that are not finite; None where all are."""
    state = {name: value for name, value in network.state_dict().items() if value.is_floating_point()}
    finite = torch.stack([value.isfinite().all() for value in state.values()])  # looked at once: GPUs wait for that
    return None if bool(finite.all()) else list(state)[finite.tolist().index(False)]


def kept(network: nn.Module, optimizer: torch.optim.Optimizer) -> Weights:
    """Return all tensors of a network and its optimizer, by names."""
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors.update({f"optimizer.{index}.{name}": value for name, value in state.items() if value is not None})
    return tensors


def restore(network: nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Load what `kept` returned into a network and an optimizer that are built alike."""
    network.load_state_dict(below("network.", tensors))
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in below("optimizer.", tensors).items():
        index, field_name = name.split(".", 1)
        state.setdefault(int(index), {})[field_name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def below(prefix: str, tensors: Mapping[str, Tensor]) -> Weights:
    """Return the tensors whose names begin so, without that."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
