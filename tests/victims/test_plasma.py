"""Plasma is the fractal noise of the diamond-square algorithm."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.making.images import seeded
from victims.defenses._plasma import plasma


def maps(count: int, height: int, width: int, roughness: float) -> Tensor:
    return plasma(count, height, width, torch.full((count,), roughness), seeded())


def slow_plasma(height: int, width: int, roughness: float, generator: torch.Generator) -> np.ndarray:
    """Diamond-square point by point, as a dictionary of places."""
    side, share = 3, 1.0
    known = dict(np.ndenumerate(torch.rand(1, 3, 3, generator=generator)[0].numpy()))
    while side < max(height, width):
        side, share = 2 * side - 1, share * roughness
        drawn = torch.rand(1, side, side, generator=generator)[0].numpy()
        known = {(2 * row, 2 * column): value for (row, column), value in known.items()}
        inside = range(side)
        for row, column in product(range(1, side, 2), range(1, side, 2)):
            around = [known[row + i, column + j] for i, j in product((-1, 1), (-1, 1))]
            known[row, column] = (1 - share) * np.mean(around) + share * drawn[row, column]
        for row, column in product(inside, inside):
            if (row + column) % 2:
                places = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
                # Beyond the rim lies what lies on the other side of the point.
                around = [known[p] if p in known else known[2 * row - p[0], 2 * column - p[1]] for p in places]
                known[row, column] = (1 - share) * np.mean(around) + share * drawn[row, column]
    return np.array([[known[row, column] for column in range(width)] for row in range(height)])


@pytest.mark.parametrize(("height", "width"), [(3, 3), (8, 8), (16, 5), (9, 20)])
@pytest.mark.parametrize("roughness", [0.1, 0.7])
def test_maps_are_those_of_the_algorithm(height: int, width: int, roughness: float) -> None:
    found = maps(1, height, width, roughness)[0].numpy()
    np.testing.assert_allclose(found, slow_plasma(height, width, roughness, seeded()), atol=1e-6)


def test_maps_stay_between_0_and_1_and_are_all_different() -> None:
    found = maps(50, 32, 32, 0.5)
    assert found.shape == (50, 32, 32)
    assert float(found.amin()) >= 0
    assert float(found.amax()) <= 1
    assert len(torch.unique(found.flatten(1), dim=0)) == 50
    assert abs(float(found.mean()) - 0.5) < 0.05


def test_roughness_is_that_of_each_map() -> None:
    found = plasma(300, 32, 32, torch.tensor([0.05, 0.4, 1.0]).repeat(100), seeded())
    jumps = (found[:, :, 1:] - found[:, :, :-1]).abs().mean((1, 2)).view(100, 3).mean(0)
    assert float(jumps[0]) < float(jumps[1]) / 1.2 < float(jumps[2]) / 2
    white = found[2::3, 1::2, 1::2]
    assert abs(float(white.std()) - 12**-0.5) < 0.01
