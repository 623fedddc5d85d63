"""Crafting a few images the way a run does it, with small parameters."""

import math
from dataclasses import replace
from pathlib import Path
from typing import get_args
from uuid import uuid4

import numpy as np
from torch import Tensor

from bench.checks import inputs
from bench.checks.inputs import ARCHITECTURE, BUDGETS, CPU, digits, networks, with_images
from bench.contracts.budget import Budget, Norm
from bench.contracts.method import METHODS, Method, Surrogate
from bench.contracts.network import Network
from bench.contracts.plugin import Params
from bench.core.keys import key
from bench.data.images import ImageSet, Splits
from bench.engine.brought import keep
from bench.plan.checkpoints import Checkpoints, checkpoint_name
from bench.plan.stage import CraftJob, Stage
from bench.run.stages.dispatch import run_stage
from bench.run.stages.workbench import Workbench
from bench.spec.method_row import MethodRow
from bench.store.artifacts import Store

__all__ = ["BUDGETS", "CPU", "digits", "networks", "small_params", "with_images"]

assert set(BUDGETS) == set(get_args(Norm)), "give every norm a budget to be tested with"


def small_params(kind: type[Method]) -> Params:
    """Return a method's parameters, small where they cost time."""
    return inputs.small_params(kind, {"sha256": "0" * 64} if kind.name == "brought" else None)


def cases() -> list[tuple[str, Budget | None]]:
    """Return every method with every budget it is tested under: name and budget, None for one that takes none."""
    return [
        (name, BUDGETS[norm] if norm else None)
        for name in METHODS.names()
        for norm in METHODS.get(name).norms or (None,)
    ]


def protect(folder: Path, kind: type[Method], budget: Budget | None, data: ImageSet, seed: int = 0) -> Tensor:
    """Run the craft stage of a method and return the released bytes, uint8 [N, 3, H, W]."""
    store = Store(folder)
    params = small_params(kind)
    method = kind(params)
    if method.brought is not None:
        made = brought(data)
        keep(store, made)
        spent = {"linf_levels": 1, "l2": 1 / 255, "l0": 1}
        params = params.model_copy(update={"sha256": made.sha256, "spent": spent})
    checkpoints = tuple(stored(store, index, found) for index, found in enumerate(networks(method)))
    trained = ARCHITECTURE if kind.trains else None
    job = CraftJob(MethodRow(name=kind.name, params=params), budget, seed, checkpoints, architecture=trained)
    stage = Stage(key(str(uuid4())), "of a test", job, (), method.passes())
    run_stage(stage, Workbench(Splits(data, data), store, CPU))
    return store.tensors("craft", stage.key, "protected")["images"]


def brought(data: ImageSet) -> ImageSet:
    """Return images as somebody may bring them: one value of each is a level from the clean one."""
    images = data.images.clone()
    images[:, 0, 0, 0] ^= 1
    return replace(data, images=images)


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


def stored(store: Store, index: int, found: list[Network]) -> Checkpoints:
    surrogate = key(["surrogate", index, len(found)])
    if not store.has("surrogate", surrogate):
        draft = store.draft("surrogate", surrogate)
        names = [checkpoint_name(epoch) for epoch in range(len(found))]
        for name, network in zip(names, found, strict=True):
            draft.put(name, network.state_dict())
        draft.commit({"seconds": 0.0, "history": {"test_acc": [0.0] * len(found)}}, keep=names)
    return Checkpoints(surrogate, "resnet8", Surrogate(at=tuple(range(len(found)))), len(found))
