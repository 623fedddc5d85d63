"""A network normalises its images itself, and its first weights come from its seed alone."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from bench.contracts.network import Network, build_network, channel_statistics
from bench.contracts.normalisation import Constants
from bench.plan.cost import flops_of_a_pass
from tests.making.images import noise
from tests.making.networks import CPU


def built(images: Tensor, *, normalise: bool = True, seed: int = 0) -> Network:
    return build_network("resnet8", 10, images, normalise=normalise, seed=seed, device=CPU).eval()


def weights(network: Network) -> Tensor:
    return torch.cat([parameter.flatten() for parameter in network.classifier.parameters()])


@pytest.mark.parametrize("count", [1, 5, 4096, 4100, 9000])
def test_channel_statistics_are_those_of_numpy(count: int) -> None:
    images = noise(count, side=4)
    images[:, 1] //= 7
    pixels = images.numpy() / 255
    mean, std = channel_statistics(images)
    np.testing.assert_allclose(mean.numpy(), pixels.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(std.numpy(), pixels.std((0, 2, 3)), rtol=1e-6)


def test_a_channel_without_contrast_divides_by_no_zero() -> None:
    images = noise(20)
    images[:, 2] = 77
    mean, std = channel_statistics(images)
    assert float(mean[2]) == pytest.approx(77 / 255)
    assert float(std[2]) == pytest.approx(1e-3)
    assert bool(built(images)(images.float() / 255).isfinite().all())


def test_a_network_normalises_the_images_it_is_given() -> None:
    images = noise(16)
    network = built(images).double()
    pixels = images.numpy() / 255
    mean, std = (
        value.astype(np.float32)[None, :, None, None] for value in (pixels.mean((0, 2, 3)), pixels.std((0, 2, 3)))
    )
    x = torch.from_numpy(pixels)
    normalised = torch.from_numpy((pixels - mean) / std)
    with torch.inference_mode():
        torch.testing.assert_close(network(x), network.classifier(normalised), rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(network.features(x), network.classifier.features(normalised), rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(network.classifier.head(network.features(x)), network(x))


def test_without_normalisation_the_images_reach_the_classifier_as_they_are() -> None:
    images = noise(16)
    network, x = built(images, normalise=False), images.float() / 255
    with torch.inference_mode():
        torch.testing.assert_close(network(x), network.classifier(x), rtol=0, atol=0)


def test_fixed_constants_take_the_place_of_what_the_images_have() -> None:
    images = noise(16)
    fixed = Constants(mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    network = build_network("resnet8", 10, images, normalise=True, seed=0, device=CPU, constants=fixed).eval()
    x = images.float() / 255
    normalised = torch.stack([(x[:, 0] - 0.1) / 0.4, (x[:, 1] - 0.2) / 0.5, (x[:, 2] - 0.3) / 0.6], 1)
    with torch.inference_mode():
        torch.testing.assert_close(network(x), network.classifier(normalised))


def test_the_statistics_travel_with_the_weights() -> None:
    images = noise(16)
    network, other = built(images), built(noise(16, seed=1) // 2, seed=1)
    other.load_state_dict(network.state_dict())
    x = images.float() / 255
    with torch.inference_mode():
        assert torch.equal(network(x), other(x))


def test_initial_weights_depend_on_the_seed_and_on_nothing_else() -> None:
    torch.manual_seed(1)
    first = weights(built(noise(16)))
    torch.manual_seed(2)
    assert torch.equal(first, weights(built(noise(5, seed=3), normalise=False)))
    assert not torch.equal(first, weights(built(noise(16), seed=1)))


def test_building_a_network_leaves_the_global_random_stream_alone() -> None:
    torch.manual_seed(7)
    undisturbed = torch.rand(4)
    torch.manual_seed(7)
    built(noise(4))
    assert torch.equal(torch.rand(4), undisturbed)


@pytest.mark.parametrize("architecture", ["resnet8", "resnet18"])
def test_a_network_is_laid_out_for_the_device_and_takes_any_layout(architecture: str) -> None:
    network = build_network(architecture, 10, noise(4), normalise=True, seed=0, device=CPU).eval()
    x = noise(2, side=16).float() / 255
    with torch.inference_mode():
        torch.testing.assert_close(network(x), network(x.to(memory_format=torch.channels_last)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("architecture", ["resnet8", "mobilenet-v2"])
def test_operations_are_counted_as_torch_counts_them(architecture: str) -> None:
    network = build_network(architecture, 10, noise(1, side=32), normalise=False, seed=0, device=CPU)
    network.eval().requires_grad_(False)
    with FlopCounterMode(display=False) as counter:
        F.cross_entropy(network(torch.zeros(1, 3, 32, 32, requires_grad=True)), torch.zeros(1).long()).backward()
    assert flops_of_a_pass(architecture, 10, 32, 32) == counter.get_total_flops() > 1e6
