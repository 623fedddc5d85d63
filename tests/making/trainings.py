"""Short trainings of a thin network on a few small images."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.contracts.defense import Defense, Defenses
from bench.contracts.network import Network, build_network
from bench.engine.recipe import Recipe
from bench.engine.training import History, Labelled, train
from bench.plan.checkpoints import checkpoint_name
from bench.store.artifacts import Store
from bench.store.draft import Draft
from tests.making.images import noise
from tests.making.networks import CPU

IMAGES, LABELS = noise(50, side=8), torch.arange(50) % 3
TEST = Labelled(noise(30, side=8, seed=1), torch.arange(30) % 3, classes=3)
STATE = "state"


class Recorder(Defense):
    """Keeps every batch as the network gets it, and the learning rate of every step."""

    name = "recorder"

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[tuple[Tensor, Tensor]] = []
        self.rates: list[float] = []

    def batch(self, x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        self.batches.append((x.clone(), y.clone()))
        return x, y

    def optimizer(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        optimizer.register_step_pre_hook(lambda used, *_: self.rates.append(used.param_groups[0]["lr"]))
        return optimizer


def recipe(**fields: Any) -> Recipe:
    made = {"name": "made", "source": "a test", "epochs": 3, "batch_size": 16, "lr": 0.05}
    made |= {"schedule": {"kind": "cosine"}, "augmentation": {"crop_padding": 2, "flip": True}}
    return Recipe.model_validate(made | fields)


def fresh(seed: int = 0) -> Network:
    return build_network("resnet8", 3, IMAGES, normalise=True, seed=seed, device=CPU)


def draft(folder: Path) -> Draft:
    return Store(folder).draft("surrogate", "a" * 64)


def trained(
    folder: Path,
    how: Recipe | None = None,
    *,
    seed: int = 0,
    defense: Defense | None = None,
    compile: bool = False,
    on_epoch: Callable[[History], None] = lambda history: None,
    as_stored: Tensor | None = None,
    test: Labelled = TEST,
) -> tuple[nn.Module, History]:
    """Train a fresh network, going on from what an earlier call left in the folder."""
    return train(
        lambda images: fresh(),
        Labelled(IMAGES.clone(), LABELS.clone(), classes=3, as_stored=as_stored),
        test,
        how or recipe(),
        Defenses([defense] if defense else []),
        seed,
        draft=draft(folder),
        checkpoint=checkpoint_name,
        compile=compile,
        on_epoch=on_epoch,
    )


def same_bits(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def same_curves(first: History, second: History) -> bool:
    """Compare what was measured, without the time it took."""
    curves = ("train_loss", "train_acc", "test_acc")
    return all(getattr(first, curve) == getattr(second, curve) for curve in curves)
