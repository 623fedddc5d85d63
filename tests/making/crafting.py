"""Crafting a few images the way a run does it, with small parameters."""

import math
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, get_args
from uuid import uuid4

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from bench.contracts.budget import Budget, Norm
from bench.contracts.method import METHODS, Method, Surrogate
from bench.contracts.network import Network, build_network
from bench.contracts.plugin import Params, Plugin
from bench.core.keys import key
from bench.data.images import ImageSet, Splits
from bench.data.loading import load
from bench.data.spec import DatasetSpec
from bench.plan.checkpoints import Checkpoints, checkpoint_name
from bench.plan.stage import CraftJob, Stage
from bench.run.stages.dispatch import run_stage
from bench.run.stages.workbench import Workbench
from bench.spec.method_row import MethodRow
from bench.store.artifacts import Store

CPU = torch.device("cpu")
BUDGETS: dict[Norm, Budget] = {
    "linf": Budget.parse("linf-8"),
    "l2": Budget.parse("l2-1"),
    "l0": Budget.parse("l0-4"),
    "unbounded": Budget.parse("unbounded"),
}
assert set(BUDGETS) == set(get_args(Norm)), "give every norm a budget to be tested with"

_SMALL = {"checkpoints": 2, "steps": 2, "inner_steps": 2, "runs": 2, "restarts": 1, "iterations": 2, "samples": 1}
"""What costs time where a plug-in has it as a parameter."""


def small_params(kind: type[Plugin]) -> Params:
    """Return a plug-in's default parameters with those that cost time made as small as it allows."""
    fields: dict[str, Any] = {}
    for field, value in _SMALL.items():
        if field in kind.Params.model_fields:
            try:
                kind.Params.model_validate({**fields, field: value})
                fields[field] = value
            except ValidationError:
                pass  # a method may be defined by that parameter, as by its single checkpoint
    return kind.Params.model_validate(fields)


def cases() -> list[tuple[str, Budget | None]]:
    """Return every method with every budget it is tested under: name and budget, None for one that takes none."""
    return [
        (name, BUDGETS[norm] if norm else None)
        for name in METHODS.names()
        for norm in METHODS.get(name).norms or (None,)
    ]


@cache
def digits() -> ImageSet:
    """Return 24 digits, 16x16."""
    return load(DatasetSpec.parse({"name": "digits", "limit": 24, "test_limit": 10})).train


def with_images(pixels: np.ndarray) -> ImageSet:
    """Return uint8 images, [N, 3, H, W], with the labels of the first N digits."""
    return ImageSet(torch.from_numpy(pixels), digits().labels[: len(pixels)], digits().classes)


def networks(method: Method) -> list[list[Network]]:
    """Return untrained thin networks in eval mode in place of each surrogate's checkpoints."""
    return [
        [_untrained(index, checkpoint) for checkpoint in range(need.checkpoints)]
        for index, need in enumerate(method.needs())
    ]


def protect(folder: Path, kind: type[Method], budget: Budget | None, data: ImageSet, seed: int = 0) -> Tensor:
    """Run the craft stage of a method and return the released bytes, uint8 [N, 3, H, W]."""
    store = Store(folder)
    params = small_params(kind)
    method = kind(params)
    checkpoints = tuple(stored(store, index, found) for index, found in enumerate(networks(method)))
    job = CraftJob(MethodRow(name=kind.name, params=params), budget, seed, checkpoints)
    stage = Stage(key(str(uuid4())), "of a test", job, (), method.passes())
    run_stage(stage, Workbench(Splits(data, data), store, CPU))
    return store.tensors("craft", stage.key, "protected")["images"]


def is_within(budget: Budget | None, clean: Tensor, released: Tensor) -> bool:
    """Tell whether every image keeps the budget, counted in whole levels."""
    if budget is None or budget.size is None:
        return True
    levels = np.abs(released.numpy().astype(np.int64) - clean.numpy().astype(np.int64))
    if budget.norm == "linf":
        return bool(levels.max() <= budget.size)
    if budget.norm == "l0":
        return bool((levels > 0).any(axis=1).sum(axis=(1, 2)).max() <= budget.size)
    return math.sqrt(int((levels**2).sum(axis=(1, 2, 3)).max())) <= 255 * budget.size * (1 + 1e-12)


def _untrained(index: int, checkpoint: int) -> Network:
    return deepcopy(_built(index, checkpoint))


@cache
def _built(index: int, checkpoint: int) -> Network:
    seed = 100 * index + checkpoint
    return build_network("resnet8", 10, digits().images, normalise=True, seed=seed, device=CPU).eval()


def stored(store: Store, index: int, found: list[Network]) -> Checkpoints:
    surrogate = key(["surrogate", index, len(found)])
    if not store.has("surrogate", surrogate):
        draft = store.draft("surrogate", surrogate)
        names = [checkpoint_name(epoch) for epoch in range(len(found))]
        for name, network in zip(names, found, strict=True):
            draft.put(name, network.state_dict())
        draft.commit({"seconds": 0.0, "history": {"test_acc": [0.0] * len(found)}}, keep=names)
    return Checkpoints(surrogate, "resnet8", Surrogate(at=tuple(range(len(found)))), len(found))
