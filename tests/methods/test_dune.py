"""DUNE against loops over one class, one particle and one image, in double precision."""

import math
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from bench.contracts.budget import Budget
from bench.contracts.context import CraftContext
from bench.contracts.method import CraftData
from methods.dune import DUNE, DUNEParams
from tests.making.images import noise
from tests.making.networks import CPU, checkpoints
from tests.making.slow_sep import protect_slowly

SIDE, COUNT, CLASSES = 12, 8, 4
IMAGES, LABELS = noise(COUNT, SIDE).double() / 255, torch.tensor([0, 2, 0, 1, 2, 2, 0, 1])  # and none of class 3
NETWORKS = checkpoints(2)


def context() -> CraftContext:
    return CraftContext([deepcopy(list(NETWORKS))], seed=4, device=CPU, images=COUNT)


def prepared(parts: tuple[int, ...] = (COUNT,), **params: Any) -> DUNE:
    dune = DUNE(DUNEParams.model_validate({"checkpoints": 2, "particles": 3, "iterations": 3, "images": 2, **params}))
    index = torch.arange(COUNT).split(parts)
    dune.prepare(lambda: (CraftData(IMAGES[one], LABELS[one], CLASSES, one) for one in index), context())
    return dune


def crafted(dune: DUNE, part: slice = slice(None)) -> Tensor:
    data = CraftData(IMAGES[part], LABELS[part], CLASSES, torch.arange(COUNT)[part])
    return dune.craft(data, Budget.parse("unbounded"), context())


def cost(label: int, colour: list[float], images: int) -> float:
    """Return what a colour costs, over the first images of its class."""
    first = [image for image, of in zip(IMAGES, LABELS.tolist(), strict=True) if of == label][:images]
    total = 0.0
    for clean in first:
        shown = (clean + torch.tensor(colour, dtype=torch.float64)[:, None, None]).clamp(0, 1)
        with torch.no_grad():
            logits = [network(shown[None])[0] for network in NETWORKS]
        total += sum(float(one.logsumexp(0) - one[(label + 3) % CLASSES]) for one in logits) / len(logits)
        mse = float(((shown - clean) ** 2).mean())
        total += max(0.0, 20 - 10 * math.log10(1 / mse)) if mse else 0.0
        total += max(0.0, 0.8 - ssim(clean.numpy(), shown.numpy()))
    return total / max(1, len(first))


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    def mean(x: np.ndarray) -> np.ndarray:
        return np.stack([gaussian_filter(channel, 1.5, truncate=5 / 1.5)[5:-5, 5:-5] for channel in x])

    spread_a, spread_b = mean(a * a) - mean(a) ** 2, mean(b * b) - mean(b) ** 2
    both = mean(a * b) - mean(a) * mean(b)
    brightness = (2 * mean(a) * mean(b) + 1e-4) / (mean(a) ** 2 + mean(b) ** 2 + 1e-4)
    return float((brightness * (2 * both + 9e-4) / (spread_a + spread_b + 9e-4)).mean())


def colour_slowly(label: int, *, moving: bool, images: int = 2) -> list[float]:
    drawn = torch.rand(2, CLASSES, 3, 3, generator=context().generator("colours"))
    places = [[0.1 * (2 * one - 1) for one in row] for row in drawn[0, label].tolist()]
    speeds = [[0.01 * (2 * one - 1) for one in row] for row in drawn[1, label].tolist()]
    own: list[tuple[float, list[float]]] = [(math.inf, place) for place in places]
    leader = 0
    for _ in range(3):
        for index, place in enumerate(places):
            found = cost(label, place, images)
            if found < own[index][0]:
                own[index] = (found, place)
        leader = min(range(3), key=lambda index: own[index][0])
        best = places[leader] if moving else own[leader][1]
        moved = []
        for index, place in enumerate(places):
            speeds[index] = [
                0.5 * v + 0.3 * (mine - at) + 0.3 * (one - at)
                for v, at, mine, one in zip(speeds[index], place, own[index][1], best, strict=True)
            ]
            moved.append([at + v for at, v in zip(place, speeds[index], strict=True)])
        places = moved
    return places[leader] if moving else own[leader][1]


@pytest.mark.parametrize("moving", [False, True], ids=["best", "as released"])
def test_the_colour_of_a_class_is_what_the_particle_swarm_finds(moving: bool) -> None:
    found = prepared(moving_best=moving).colours.double()
    slow = torch.tensor([colour_slowly(label, moving=moving) for label in (0, 1, 2)], dtype=torch.float64)
    torch.testing.assert_close(found[:3], slow, rtol=0, atol=1e-6)
    assert bool(found.isfinite().all())


def test_penalties_are_of_the_images_that_are_hardly_the_same() -> None:
    dune, far = prepared(), torch.tensor([[0.5, -0.4, 0.3]])
    for label in (0, 1, 2):
        ours = dune._costs(lambda: iter([CraftData(IMAGES, LABELS, CLASSES, torch.arange(COUNT))]), far.expand(4, 3))
        assert float(ours[label]) == pytest.approx(cost(label, far[0].tolist(), 2), abs=1e-5)


def test_images_are_seps_with_a_colour_added() -> None:
    dune = prepared(steps=4)
    expected = []
    for image, label in zip(IMAGES, LABELS.tolist(), strict=True):
        moved, _ = protect_slowly(NETWORKS, image, (label + 3) % CLASSES, "linf", 8 / 255, 0.5 / 255, 4)
        expected.append((moved + dune.colours.double()[label][:, None, None]).clamp(0, 1))
    torch.testing.assert_close(crafted(dune), torch.stack(expected), rtol=0, atol=1e-7)


def test_the_perturbation_keeps_its_radius_and_the_colour_keeps_none() -> None:
    dune = prepared(steps=20, radius=2, spread=0.2, psnr_floor=0.0)
    inner = (IMAGES > 0.3) & (IMAGES < 0.7)  # where nothing is clipped
    rest = crafted(dune) - IMAGES - dune.colours.double()[LABELS][:, :, None, None]
    assert float(rest[inner].abs().max()) == pytest.approx(2 / 255)
    assert float(dune.colours.abs().max()) > 8 / 255


def test_where_parts_and_shards_end_changes_nothing() -> None:
    whole, cut = prepared(steps=2), prepared(parts=(1, 4, 3), steps=2)
    torch.testing.assert_close(cut.colours, whole.colours, rtol=0, atol=1e-9)
    torch.testing.assert_close(crafted(whole, slice(2, 3)), crafted(whole)[2:3], rtol=0, atol=1e-9)
