"""Gradient similarities and recognition against plain loops."""

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F

from bench.contracts.network import Network
from bench.core.errors import SepbenchError
from bench.engine.ensemble import Ensemble
from bench.read.diagnostics import Diagnosis, _recognition, _similarity, render_diagnosis
from bench.read.plots import similarity_heatmap
from tests.making.images import noise
from tests.making.networks import CPU, checkpoints
from tests.making.slow_sep import gradient_of

IMAGES = noise(5)
TARGET = torch.tensor([5, 9, 2, 4, 0])


def single(count: int) -> list[Network]:
    return [deepcopy(network).float() for network in checkpoints(count)]


def test_gradients_are_those_of_each_image_alone() -> None:
    (network,) = checkpoints(1)
    x = IMAGES.double() / 255
    found = Ensemble([network], backend=None).gradient(0, x, TARGET)
    for position in range(5):
        slow = gradient_of([network], x[position], int(TARGET[position]))
        torch.testing.assert_close(found[position], slow, rtol=1e-8, atol=1e-12)


def test_similarity_is_the_mean_cosine_over_images_and_norms_are_means() -> None:
    found = _similarity("x", ["a", "b", "c"], single(3), IMAGES, TARGET, CPU)
    x = IMAGES.double() / 255
    slow = [[gradient_of([network], x[i], int(TARGET[i])).flatten() for i in range(5)] for network in checkpoints(3)]
    for a in range(3):
        for b in range(3):
            measured = found.cosine[a][b]
            assert measured is not None
            cosine = sum(float(F.cosine_similarity(slow[a][i], slow[b][i], dim=0)) for i in range(5)) / 5
            assert abs(measured - cosine) < 1e-3
        norm = sum(float(slow[a][i].norm()) for i in range(5)) / 5
        assert abs(found.norms[a] - norm) < 1e-3 * norm


def scaled(network: Network, factor: float) -> Network:
    """Return the network with logits so many times as large: it is surer of the same."""
    with torch.no_grad():
        network.get_parameter("classifier.head.weight").mul_(factor)
        network.get_parameter("classifier.head.bias").mul_(factor)
    return network


def test_a_gradient_of_zero_has_no_cosine_and_is_left_out_of_the_mean() -> None:
    blind, *others = single(3)
    scaled(blind, 0.0)
    found = _similarity("x", ["a", "b", "c"], [blind, *others], IMAGES, TARGET, CPU)
    assert found.cosine[0] == [None, None, None]
    assert found.norms[0] == 0
    whole = _similarity("x", ["b", "c"], others, IMAGES, TARGET, CPU)
    assert [row[1:] for row in found.cosine[1:]] == whole.cosine
    shown = render_diagnosis(Diagnosis("e", "d", 5, [found], []), "md")
    assert "gradients (mean cosine of two: " in shown
    assert "| a | 0 |     –     –     – |" in shown  # noqa: RUF001
    similarity_heatmap(found)


def test_the_cosine_of_gradients_does_not_depend_on_how_small_they_are() -> None:
    one, other = single(2)
    usual = _similarity("x", ["a", "b"], [one, other], IMAGES, TARGET, CPU)
    tiny = scaled(deepcopy(one), 1e-30)
    found = _similarity("x", ["a", "b"], [tiny, deepcopy(tiny)], IMAGES, TARGET, CPU)
    assert usual.cosine[0][0] == 1
    assert found.cosine == [[1, 1], [1, 1]]


def test_gradients_that_are_not_finite_are_not_compared() -> None:
    one, other = single(2)
    scaled(one, float("nan"))
    with pytest.raises(SepbenchError, match="x: an input gradient is not finite"):
        _similarity("x", ["a", "b"], [one, other], IMAGES, TARGET, CPU)


def test_recognition_counts_pairs_of_image_and_checkpoint() -> None:
    y = torch.tensor([0, 4, 7, 9, 5])
    found = _recognition("clean", "s", single(3), IMAGES, y, TARGET, CPU)
    true = wanted = 0
    for network in checkpoints(3):
        for position in range(5):
            predicted = int(network(IMAGES[position : position + 1].double() / 255).argmax())
            true += predicted == int(y[position])
            wanted += predicted == int(TARGET[position])
    assert (round(found.as_true * 15 / 100), round(found.as_target * 15 / 100)) == (true, wanted)
