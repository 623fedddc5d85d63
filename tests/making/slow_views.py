"""The random shifts and flips of poisons, and what keeps images in a budget: one image and one pixel at a time."""

import math

import torch
from torch import Tensor

from bench.contracts.budget import Budget

SHARE = 4.1 / 32


def seen_from(drawn: Tensor, side: int) -> Tensor:
    """Return what each pixel that is seen takes of each pixel of the image, [H * W, H * W], pixel by pixel."""
    right, down = (float(SHARE * side * (2 * one - 1)) for one in drawn[:2])
    matrix = torch.zeros(side * side, side * side, dtype=torch.float64)
    for row in range(side):
        for column in range(side):
            x = (side - 1 - column if drawn[2] < 0.5 else column) + right
            y = row + down
            for i in (math.floor(y), math.floor(y) + 1):
                for j in (math.floor(x), math.floor(x) + 1):
                    if 0 <= i < side and 0 <= j < side:
                        weight = (1 - abs(y - i)) * (1 - abs(x - j))
                        matrix[row * side + column, i * side + j] += weight
    return matrix


def scale(budget: Budget, pixels: int) -> float:
    """Return what a normal draw of so many pixels is multiplied with, to be of the budget's size."""
    return budget.radius if budget.norm == "linf" else budget.radius / math.sqrt(pixels)


def within(clean: Tensor, moved: Tensor, budget: Budget) -> Tensor:
    """Return one image, moved back into its budget and to [0, 1]."""
    difference = moved - clean
    if budget.norm == "linf":
        difference = difference.clamp(-budget.radius, budget.radius)
    else:
        difference = difference * min(1.0, budget.radius / float(difference.norm()))
    return (clean + difference).clamp(0, 1)
