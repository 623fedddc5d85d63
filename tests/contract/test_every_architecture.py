"""What every architecture has to keep, and how large the known ones are."""

from collections.abc import Sequence

import pytest
import torch
from torch import nn

from bench.networks import ARCHITECTURES, Classifier, build_network

NAMES = ARCHITECTURES.names()
every_architecture = pytest.mark.parametrize("name", NAMES)


def built(name: str, classes: int = 10) -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ARCHITECTURES.get(name)(classes)


def images(count: int, side: int) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0))


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def residual_parameters(blocks: Sequence[int], widths: Sequence[int], classes: int) -> int:
    """Count by layers: 3x3 convolutions without bias, each with the two vectors of a batch norm, and a linear head."""
    total = 3 * widths[0] * 9 + 2 * widths[0]
    inputs = widths[0]
    for count, width in zip(blocks, widths, strict=True):
        for _ in range(count):
            total += inputs * width * 9 + 2 * width + width * width * 9 + 2 * width
            total += inputs * width + 2 * width if inputs != width else 0
            inputs = width
    return total + inputs * classes + classes


@pytest.mark.parametrize(
    ("name", "blocks", "widths", "golden"),
    [
        ("resnet8", (1, 1, 1), (16, 32, 64), 78_042),
        ("resnet18", (2, 2, 2, 2), (64, 128, 256, 512), 11_173_962),
    ],
)
def test_residual_networks_have_the_parameters_of_the_literature(
    name: str, blocks: tuple[int, ...], widths: tuple[int, ...], golden: int
) -> None:
    assert parameters(built(name)) == golden == residual_parameters(blocks, widths, 10)
    assert parameters(built(name, 100)) == residual_parameters(blocks, widths, 100)


@every_architecture
def test_an_architecture_describes_itself(name: str) -> None:
    assert (ARCHITECTURES.get(name).__doc__ or "").strip().splitlines()[0].strip()


@every_architecture
@pytest.mark.parametrize("side", [16, 32, 64])
@pytest.mark.parametrize("classes", [10, 100])
def test_logits_are_the_head_of_the_features(name: str, side: int, classes: int) -> None:
    network = built(name, classes).eval()
    assert isinstance(network, Classifier)
    with torch.inference_mode():
        x = images(2, side)
        features, logits = network.features(x), network(x)
        assert features.shape == (2, network.head.in_features)
        assert logits.shape == (2, classes)
        torch.testing.assert_close(logits, network.head(features))


@every_architecture
def test_a_judged_image_does_not_depend_on_its_batch(name: str) -> None:
    # Double precision: then nothing but a real dependence shows.
    network = built(name).double().eval()
    with torch.inference_mode():
        x = images(3, 32).double()
        torch.testing.assert_close(network(x[1:2])[0], network(x)[1], rtol=1e-9, atol=1e-9)


@every_architecture
def test_every_parameter_learns(name: str) -> None:
    network = built(name).train()
    nn.functional.cross_entropy(network(images(4, 32)), torch.tensor([0, 1, 2, 3])).backward()
    for parameter in network.parameters():
        assert parameter.grad is not None
        assert bool(parameter.grad.isfinite().all())
    assert float(network.head.weight.grad.abs().sum()) > 0  # type: ignore[union-attr]


@every_architecture
def test_images_have_gradients_through_frozen_networks(name: str) -> None:
    network = built(name).eval().requires_grad_(False)
    x = images(2, 32).requires_grad_()
    (gradient,) = torch.autograd.grad(network(x).logsumexp(1).sum(), x)
    assert bool(gradient.isfinite().all())
    assert float(gradient.abs().sum()) > 0


@every_architecture
def test_weights_survive_being_stored_and_loaded(name: str) -> None:
    stored = {key: value.clone() for key, value in built(name).state_dict().items()}
    other = build_network(name, 10, torch.empty(0), normalise=False, seed=1, device=torch.device("cpu")).classifier
    other.load_state_dict(stored)
    assert all(torch.equal(value, stored[key]) for key, value in other.state_dict().items())
    with torch.inference_mode():
        torch.testing.assert_close(other.eval()(images(2, 32)), built(name).eval()(images(2, 32)), rtol=1e-4, atol=1e-5)
