"""What a defense must leave to the training pass when it sends more batches through the network."""

from collections.abc import Callable
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.contracts.defense import Loss
from bench.contracts.network import Network, build_network
from tests.making.images import noise, seeded
from tests.making.networks import CPU

CLASSES = 3
Y = torch.arange(12) % CLASSES
SOFT = F.one_hot(Y, CLASSES).float()


def images(seed: int = 0) -> Tensor:
    """Return 12 images, float [12, 3, 8, 8] in [0, 1]."""
    return noise(12, side=8, seed=seed).float() / 255


def network() -> Network:
    """Return a thin untrained network in training mode."""
    return build_network("resnet8", CLASSES, noise(12, side=8), normalise=True, seed=0, device=CPU).train()


class Watched:
    """Cross-entropy that keeps the images of every call."""

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def __call__(self, network: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        self.seen.append(x.detach().clone())
        return F.cross_entropy(network(x), y)


def trained_on(
    wrap: Callable[[Loss], Loss], model: nn.Module, x: Tensor, y: Tensor, seed: int = 5
) -> tuple[Tensor, Tensor]:
    """Return the images that the last pass saw, and the loss, after going backward through it."""
    inner = Watched()
    value = wrap(inner)(model, x, y, seeded(seed))
    value.backward()
    return inner.seen[-1], value.detach()


def leaves_the_rest_to_the_training_pass(wrap: Callable[[Loss], Loss]) -> None:
    """Assert that statistics, gradients and dropout are those of one pass over the images trained on."""
    model = nn.Sequential(network(), nn.Dropout(0.3))
    plain = deepcopy(model)
    torch.manual_seed(1)
    trained, value = trained_on(wrap, model, images(), Y)
    after = torch.get_rng_state()
    torch.manual_seed(1)
    expected = F.cross_entropy(plain(trained), Y)
    expected.backward()
    assert torch.equal(value, expected.detach())
    assert torch.equal(after, torch.get_rng_state())
    for (name, buffer), other in zip(model.named_buffers(), plain.buffers(), strict=True):
        assert torch.equal(buffer, other), name
    for (name, weight), other in zip(model.named_parameters(), plain.parameters(), strict=True):
        assert weight.grad is not None, name
        assert other.grad is not None, name
        assert torch.equal(weight.grad, other.grad), name
    assert all(module.track_running_stats for module in model.modules() if isinstance(module, nn.BatchNorm2d))


def learns_under_autocast(wrap: Callable[[Loss], Loss]) -> None:
    """Assert that every weight gets the gradient of the training pass under autocast as well."""
    model = network()
    plain = deepcopy(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inner = Watched()
        value = wrap(inner)(model, images(), Y, seeded(5))
    value.backward()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected = F.cross_entropy(plain(inner.seen[-1]), Y)
    expected.backward()
    for (name, weight), other in zip(model.named_parameters(), plain.parameters(), strict=True):
        assert weight.grad is not None, name
        torch.testing.assert_close(weight.grad, other.grad, msg=name)
