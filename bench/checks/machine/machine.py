"""What the checks of this machine compute on: the digits, thin networks that its CPU has trained, and how many."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.contracts.defense import Defenses
from bench.contracts.method import CraftData
from bench.contracts.network import Network, build_network
from bench.core.device import precision
from bench.core.keys import key
from bench.data.images import Splits
from bench.data.loading import load
from bench.data.spec import DatasetSpec
from bench.engine.ensemble import Ensemble
from bench.engine.recipe import Recipe
from bench.engine.training import History, Labelled, train
from bench.plan.checkpoints import checkpoint_name
from bench.store.artifacts import Store
from bench.store.draft import Draft

CPU = torch.device("cpu")
EPOCHS = 2


@dataclass(frozen=True)
class Sizes:
    """How much the checks compute.

    Attributes
    ----------
    images, test_images
        Digits that are protected and learnt from, and that networks are judged on.
    thin, wide
        Architectures: of what the CPU computes as well, and of what is timed.
    wide_images
        Of which it computes gradients of the wide one.
    seeds
        Trainings whose accuracies are compared.
    timed, batch
        Images of a timed step of crafting, and of training.

    """

    images: int = 512
    test_images: int = 500
    thin: str = "resnet8"
    wide: str = "resnet18"
    wide_images: int = 32
    seeds: int = 3
    timed: int = 1024
    batch: int = 128

    @classmethod
    def fit_for(cls, device: torch.device) -> "Sizes":
        """Return sizes at which all of it takes a minute or two."""
        return cls(timed=32, batch=32) if device.type == "cpu" else cls()


@dataclass(frozen=True)
class Machine:
    """A device, the CPU beside it, and what both compute on.

    Attributes
    ----------
    folder
        For what trainings keep on the way.

    """

    device: torch.device
    sizes: Sizes
    folder: Path

    @property
    def number_format(self) -> str:
        """What `auto` is on the device."""
        return precision(self.device)

    @property
    def compared(self) -> str:
        """The format in which the device is compared with the CPU in fp32: a CPU itself in its other one."""
        return "bf16" if self.device.type == "cpu" else self.number_format

    @property
    def pair(self) -> str:
        """What is compared, in words."""
        return f"{self.device} {self.compared} and cpu fp32"

    @property
    def formats(self) -> list[str]:
        """The formats that are looked at on the device."""
        return list(dict.fromkeys(["fp32", self.compared]))

    @cached_property
    def splits(self) -> Splits:
        """The digits, 16x16."""
        wanted = {"name": "digits", "limit": self.sizes.images, "test_limit": self.sizes.test_images}
        return load(DatasetSpec.parse(wanted))

    @property
    def classes(self) -> int:
        """How many there are."""
        return len(self.splits.train.classes)

    def crafting_data(self, device: torch.device) -> CraftData:
        """Return the training images as methods get them."""
        train = self.splits.train
        x, y = train.images.to(device).float() / 255, train.labels.to(device)
        return CraftData(x, y, self.classes, torch.arange(len(train)))

    def network(self, architecture: str, seed: int, device: torch.device, images: Tensor | None = None) -> Network:
        """Return a fresh network for the digits, or for other uint8 images."""
        measured = self.splits.train.images if images is None else images
        return build_network(architecture, self.classes, measured, normalise=True, seed=seed, device=device)

    def seen(self, architecture: str, images: Tensor) -> Network:
        """Return a fresh network on the CPU whose batch norm has the statistics of some images, as after training."""
        network = self.network(architecture, 0, CPU, images)
        with torch.no_grad():
            network.train()(images[:32].float() / 255)
        return network.eval()

    @cached_property
    def timed_images(self) -> Tensor:
        """What crafting is timed on: random images, uint8 [N, 3, 32, 32]."""
        draws = torch.Generator().manual_seed(0)
        return torch.randint(0, 256, (self.sizes.timed, 3, 32, 32), dtype=torch.uint8, generator=draws)

    @cached_property
    def timed_step(self) -> Callable[[], Tensor]:
        """A gradient of these images on the wide network, as methods take it: compiled where that pays."""
        network = self.seen(self.sizes.wide, self.timed_images).to(self.device)
        ensemble = Ensemble([network], precision="auto")
        x, y = self.timed_images.to(self.device).float() / 255, self.labels(len(self.timed_images))
        return lambda: ensemble.mean_gradient(x, y)

    def labels(self, count: int) -> Tensor:
        """Return the classes in turns, int64 [count], on the device."""
        return (torch.arange(count) % self.classes).to(self.device)

    def draft(self, *name: str | int) -> Draft:
        """Return a place for what a training keeps."""
        return Store(self.folder).draft("surrogate", key(list(name)))

    def train_thin(
        self,
        device: torch.device,
        number_format: str,
        seed: int,
        draft: Draft,
        *,
        count: int | None = None,
        on_epoch: Callable[[History], None] = lambda history: None,
    ) -> tuple[nn.Module, History]:
        """Train the thin network for two epochs on the first `count` images, going on from what the draft holds."""
        train_set, test = self.splits.train, self.splits.test
        return train(
            lambda images: self.network(self.sizes.thin, seed, device),
            Labelled(train_set.images[:count].to(device), train_set.labels[:count].to(device), self.classes),
            Labelled(test.images.to(device), test.labels.to(device), self.classes),
            recipe(number_format),
            Defenses([]),
            seed,
            draft=draft,
            checkpoint=checkpoint_name,
            on_epoch=on_epoch,
        )

    @cached_property
    def accuracies_on_cpu(self) -> list[float]:
        """What the CPU reaches in fp32 from each seed, percent."""
        runs = (self.train_thin(CPU, "fp32", seed, self.draft("cpu", seed)) for seed in range(self.sizes.seeds))
        return [history.test_acc[-1] for _, history in runs]

    def checkpoints(self, device: torch.device) -> list[Network]:
        """Return the checkpoints of the first of these trainings, in eval mode."""
        assert self.accuracies_on_cpu
        draft, networks = self.draft("cpu", 0), []
        for epoch in range(EPOCHS):
            network = self.network(self.sizes.thin, 0, device)
            network.load_state_dict(draft.tensors(checkpoint_name(epoch)))
            networks.append(network.eval())
        return networks


def recipe(number_format: str) -> Recipe:
    """Return a recipe that learns the digits in two epochs, from each seed about as well."""
    return Recipe.model_validate(
        {
            "name": "machine",
            "source": "sepbench",
            "epochs": EPOCHS,
            "batch_size": 16,
            "lr": 0.02,
            "schedule": {"kind": "one-cycle"},
            "augmentation": {"crop_padding": 2, "flip": False},
            "precision": number_format,
        }
    )
