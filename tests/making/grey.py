"""Crafting from even grey, where nothing is clipped: what a method adds can be seen."""

from typing import Any

import torch
from torch import Tensor

from bench.contracts.budget import Budget
from bench.contracts.context import CraftContext
from bench.contracts.method import METHODS, CraftData, Method

CPU = torch.device("cpu")


def grey(labels: list[int], side: int = 32, classes: int | None = None) -> CraftData:
    """Return images of grey 0.5 with these labels."""
    x = torch.full((len(labels), 3, side, side), 0.5)
    return CraftData(x, torch.tensor(labels), classes or max(labels) + 1, torch.arange(len(labels)))


def method(name: str, **params: Any) -> Method:
    """Return a method with these parameters."""
    kind = METHODS.get(name)
    return kind(kind.Params.model_validate(params))


def added(chosen: Method, budget: str, data: CraftData, seed: int = 0) -> Tensor:
    """Return what a method adds to the images, float [N, 3, H, W]."""
    context = CraftContext([], seed=seed, device=CPU, images=len(data.y))
    chosen.prepare(lambda: iter([data]), context)
    return chosen.craft(data, Budget.parse(budget), context) - data.x
