"""Gradient similarities and recognition against plain loops."""

import torch
import torch.nn.functional as F

from bench.engine.ensemble import Ensemble
from bench.read.diagnostics import _recognition, _similarity
from tests.making.images import noise
from tests.making.networks import CPU, checkpoints
from tests.making.slow_sep import gradient_of

IMAGES = noise(5)
TARGET = torch.tensor([5, 9, 2, 4, 0])


def single(count: int) -> list[torch.nn.Module]:
    from copy import deepcopy

    return [deepcopy(network).float() for network in checkpoints(count)]


def test_gradients_are_those_of_each_image_alone() -> None:
    (network,) = checkpoints(1)
    x = IMAGES.double() / 255
    found = Ensemble([network], backend=None).gradient(0, x, TARGET)
    for position in range(5):
        slow = gradient_of([network], x[position], int(TARGET[position]))
        torch.testing.assert_close(found[position], slow, rtol=1e-8, atol=1e-12)


def test_similarity_is_the_mean_cosine_over_images_and_norms_are_means() -> None:
    found = _similarity("x", ["a", "b", "c"], single(3), IMAGES, TARGET, CPU)  # type: ignore[arg-type]
    x = IMAGES.double() / 255
    slow = [[gradient_of([network], x[i], int(TARGET[i])).flatten() for i in range(5)] for network in checkpoints(3)]
    for a in range(3):
        for b in range(3):
            cosine = sum(float(F.cosine_similarity(slow[a][i], slow[b][i], dim=0)) for i in range(5)) / 5
            assert abs(found.cosine[a][b] - cosine) < 1e-3
        norm = sum(float(slow[a][i].norm()) for i in range(5)) / 5
        assert abs(found.norms[a] - norm) < 1e-3 * norm


def test_recognition_counts_pairs_of_image_and_checkpoint() -> None:
    y = torch.tensor([0, 4, 7, 9, 5])
    found = _recognition("clean", "s", single(3), IMAGES, y, TARGET, CPU)  # type: ignore[arg-type]
    true = wanted = 0
    for network in checkpoints(3):
        for position in range(5):
            predicted = int(network(IMAGES[position : position + 1].double() / 255).argmax())
            true += predicted == int(y[position])
            wanted += predicted == int(TARGET[position])
    assert (round(found.as_true * 15 / 100), round(found.as_target * 15 / 100)) == (true, wanted)
