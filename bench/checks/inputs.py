"""Small inputs for plug-ins: images, parameters, untrained networks, a stream of chance that changes."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import cache
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from bench.contracts.budget import Budget, Norm
from bench.contracts.method import Method
from bench.contracts.network import Network, build_network
from bench.contracts.plugin import Params, Plugin
from bench.data.images import ImageSet
from bench.data.loading import load
from bench.data.spec import DatasetSpec

CPU = torch.device("cpu")
CLASSES = 10
BUDGETS: dict[Norm, Budget] = {
    "linf": Budget.parse("linf-8"),
    "l2": Budget.parse("l2-1"),
    "l0": Budget.parse("l0-4"),
    "unbounded": Budget.parse("unbounded"),
}
"""A budget of each norm."""

ARCHITECTURE = "resnet8"
"""Of untrained networks, and of those that a method trains."""

_SMALL = {
    "checkpoints": 2,
    "steps": 2,
    "inner_steps": 2,
    "runs": 2,
    "restarts": 1,
    "iterations": 2,
    "samples": 1,
    "response": 1.0,
    "rounds": 3,
    "trials": 2,
    "epochs": 2,
    "width": 4,
    "stop_error": 1.0,
    "batches": 2,
    "batch_size": 3,
    "noise_batch_size": 5,
    "noise_steps": 2,
    "attack_steps": 2,
}
"""What costs time where a plug-in has it as a parameter."""


def small_params(kind: type[Plugin], given: dict[str, Any] | None = None) -> Params:
    """Return a plug-in's parameters: those given, small ones where they cost time and it allows that, else defaults.

    Raises pydantic's ValidationError where that leaves one without a value.
    """
    fields = dict(given or {})
    for field, value in _SMALL.items():
        if field in kind.Params.model_fields and field not in fields:
            try:
                kind.Params.model_validate({**fields, field: value})
                fields[field] = value
            except ValidationError:
                pass  # a method may be defined by that parameter, as by its single checkpoint
    return kind.Params.model_validate(fields)


@cache
def digits() -> ImageSet:
    """Return 24 digits, 16x16."""
    return load(DatasetSpec.parse({"name": "digits", "limit": 24, "test_limit": 10})).train


def with_images(pixels: np.ndarray) -> ImageSet:
    """Return uint8 images, [N, 3, H, W], with the labels of the first N digits."""
    return ImageSet(torch.from_numpy(pixels), digits().labels[: len(pixels)], digits().classes)


def seeded(seed: int) -> torch.Generator:
    """Return a generator."""
    return torch.Generator().manual_seed(seed)


PICTURES: dict[str, np.ndarray] = {
    "black": np.zeros((3, 16, 16), np.uint8),
    "white": np.full((3, 16, 16), 255, np.uint8),
    "almost black": np.full((3, 16, 16), 1, np.uint8),
    "checkerboard": np.broadcast_to((np.indices((16, 16)).sum(0) % 2 * 255).astype(np.uint8), (3, 16, 16)),
    "noise": np.random.default_rng(0).integers(0, 256, (3, 16, 16), dtype=np.uint8),
    "one colour": np.stack([np.full((16, 16), level, np.uint8) for level in (255, 0, 127)]),
}
"""Images at the edges of what there may be, uint8 [3, 16, 16]."""


def networks(method: Method) -> list[list[Network]]:
    """Return untrained thin networks in eval mode in place of each surrogate's checkpoints."""
    return [
        [deepcopy(_built(index, checkpoint)) for checkpoint in range(len(need.at or range(need.checkpoints)))]
        for index, need in enumerate(method.needs())
    ]


@cache
def _built(index: int, checkpoint: int) -> Network:
    seed = 100 * index + checkpoint
    return build_network(ARCHITECTURE, CLASSES, digits().images, normalise=True, seed=seed, device=CPU).eval()


@contextmanager
def global_chance(torch_seed: int, numpy_seed: int, python_seed: int) -> Iterator[None]:
    """Let the global random streams begin anew in the block, and go on after it as if nothing had been."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    with torch.random.fork_rng():
        torch.manual_seed(torch_seed)
        np.random.seed(numpy_seed)
        random.seed(python_seed)
        try:
            yield
        finally:
            np.random.set_state(numpy_state)
            random.setstate(python_state)


def same(first: tuple[Tensor, ...], second: tuple[Tensor, ...]) -> bool:
    """Tell whether tensors are the same, one by one."""
    return all(one.shape == other.shape and torch.equal(one, other) for one, other in zip(first, second, strict=True))
