"""What every architecture has to keep, and how large the known ones are."""

from collections.abc import Sequence

import pytest
import torch
import torchvision
from torch import fx, nn

from bench.checks import of_architectures
from bench.contracts.network import ARCHITECTURES, Classifier

NAMES = ARCHITECTURES.names()
every_architecture = pytest.mark.parametrize("name", NAMES)

# Parameters with 10 classes, and millions of multiply-adds of an image of 32 pixels, which tell wrong strides.
# Parameters of the CIFAR forms are those of the public reference implementations (kuangliu/pytorch-cifar) and, of
# wrn-28-10, the 36.5 M of its paper; resnet18-imagenet is torchvision's. The thin ones for CPUs are our own.
SIZES = {
    "densenet-cifar": (1_000_618, 125.3),
    "densenet121": (6_956_298, 888.4),
    "googlenet": (6_166_250, 1521.8),
    "mobilenet-v2": (2_296_922, 91.2),
    "resnet18": (11_173_962, 555.4),
    "resnet18-imagenet": (11_181_642, 37.0),
    "resnet50": (23_520_842, 1297.8),
    "resnet8": (78_042, 12.5),
    "senet18": (11_260_354, 555.5),
    "senet8": (78_545, 12.5),
    "vgg16": (14_728_266, 313.2),
    "vgg7": (73_178, 9.9),
    "wrn-28-10": (36_479_194, 5243.3),
}


def built(name: str, classes: int = 10) -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ARCHITECTURES.get(name)(classes)


def images(count: int, side: int) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0))


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def multiply_adds(network: nn.Module, x: torch.Tensor) -> int:
    """Count those of the convolutions and linear layers: a weight vector's length for each number they put out."""
    counts: list[int] = []

    def count(layer: nn.Module, inputs: object, output: torch.Tensor) -> None:
        counts.append(output.numel() * layer.weight[0].numel())  # type: ignore[index]

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    with torch.inference_mode():
        network.eval()(x)
    return sum(counts)


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


@pytest.mark.parametrize("name", SIZES)
def test_a_network_has_the_size_of_the_literature(name: str) -> None:
    network = built(name)
    assert (parameters(network), round(multiply_adds(network, images(1, 32)) / 1e6, 1)) == SIZES[name]


@pytest.mark.parametrize(
    ("name", "blocks", "widths"),
    [("resnet8", (1, 1, 1), (16, 32, 64)), ("resnet18", (2, 2, 2, 2), (64, 128, 256, 512))],
)
def test_residual_networks_have_the_parameters_of_their_layers(
    name: str, blocks: tuple[int, ...], widths: tuple[int, ...]
) -> None:
    assert parameters(built(name)) == residual_parameters(blocks, widths, 10)
    assert parameters(built(name, 100)) == residual_parameters(blocks, widths, 100)


@every_architecture
@pytest.mark.parametrize("promise", of_architectures.CHECKS)
def test_an_architecture_keeps_the_promises_that_sepbench_check_looks_at(promise: str, name: str) -> None:
    of_architectures.CHECKS[promise](name)


@every_architecture
def test_a_network_can_be_traced_so_that_batch_norm_can_be_folded(name: str) -> None:
    network = built(name).eval()
    traced = fx.symbolic_trace(network)
    assert any(node.target == "head" for node in traced.graph.nodes)
    with torch.inference_mode():
        x = images(2, 16)
        torch.testing.assert_close(traced(x), network(x))


def test_resnet18_imagenet_is_the_published_network() -> None:
    network = built("resnet18-imagenet").eval()
    with torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(0)
        published = torchvision.models.resnet18(num_classes=10).eval()
        x = images(1, 224)
        torch.testing.assert_close(network(x), published(x), rtol=0, atol=0)
