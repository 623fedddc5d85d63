"""Throughput of victim training against a plain loop, measured in the same run, in turns."""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.transforms.functional import to_pil_image

from bench.contracts.defense import Defenses
from bench.contracts.network import build_network, channel_statistics
from bench.core.errors import SepbenchError
from bench.engine.capturing import CAPTURE, capture_forward
from bench.engine.compiling import compile_forward
from bench.engine.recipe import Recipe
from bench.engine.step import autocast_for, make_optimizer
from bench.engine.training import Labelled, batch_shape, train_epoch
from bench.perf.turns import baseline, in_turns
from bench.record.provenance import machine_name

_CLASSES = 10
_PADDING = 4


def train_throughput(
    architecture: str,
    precisions: Sequence[str],
    side: int,
    batch: int,
    images: int,
    device: torch.device,
    *,
    compile: bool = False,
) -> dict[str, Any]:
    """Time epochs of the training loop, crop and flip included, against a plain loop over the same images.

    The plain loop is what public scripts do: a DataLoader over PIL images with torchvision's transforms, float32,
    contiguous NCHW, eager; four workers feed a GPU, and on a CPU, whose cores train, there are none, and the loop has
    a process of its own. Both take turns, three epochs each after three to warm up; medians are compared.

    Parameters
    ----------
    architecture
        A name in `ARCHITECTURES`.
    precisions
        Of the training loop: fp32, bf16 (autocast).
    side, batch, images
        An epoch is `images` random images of 3 x side x side, in batches.
    compile
        Whether to time the training loop with torch.compile, too, on a GPU replayed from CUDA graphs.

    Returns
    -------
    JSON: for each precision, eager and compiled, images per second, the ratio to the plain loop, what compiling took
    before (little where this machine has compiled the same before), peak GPU memory, in which the networks of all
    loops are.

    Raises
    ------
    SepbenchError
        torch.compile does not work here.

    """
    data = random_images(images, side)
    kinds = {
        f"{one} compiled" if compiled else one: (one, compiled)
        for one in precisions
        for compiled in ([False, True] if compile else [False])
    }
    with baseline(device, _plain_epoch, architecture, images, side, batch, device) as plain_epoch:
        loops, compile_seconds = {"plain": plain_epoch}, {}
        for name, (one, compiled) in kinds.items():
            began = time.perf_counter()
            loops[name] = our_epoch(architecture, data, batch, one, device, compiled)
            compile_seconds[name] = round(time.perf_counter() - began, 1) if compiled else 0.0
        seconds, memory = in_turns(loops, device)
    plain = seconds["plain"]
    return {
        "what": "train",
        "device": machine_name(device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "architecture": architecture,
        "image": side,
        "batch": batch,
        "images": images,
        "plain_images_per_second": round(images / median(plain), 1),
        "plain_peak_memory_mb": memory["plain"],
        "rows": [
            {
                "precision": one,
                "compiled": compiled,
                "compile_seconds": compile_seconds[name],
                "images_per_second": round(images / median(seconds[name]), 1),
                "ratio": round(median(plain) / median(seconds[name]), 2),
                "ratios": [round(a / b, 2) for a, b in zip(plain, seconds[name], strict=True)],
                "peak_memory_mb": memory[name],
            }
            for name, (one, compiled) in kinds.items()
        ],
    }


def random_images(images: int, side: int) -> Labelled:
    """Return so many random images of 3 x side x side, of ten classes."""
    draws = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (images, 3, side, side), dtype=torch.uint8, generator=draws)
    return Labelled(pixels, torch.arange(images) % _CLASSES, _CLASSES)


def _recipe(batch: int, precision: str) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "perf",
            "source": "sepbench",
            "epochs": 100,
            "batch_size": batch,
            "lr": 0.01,
            "schedule": {"kind": "cosine"},
            "augmentation": {"crop_padding": _PADDING, "flip": True},
            "precision": precision,
        }
    )


def our_epoch(
    architecture: str, data: Labelled, batch: int, precision: str, device: torch.device, compiled: bool = False
) -> Callable[[], object]:
    """Return a loop that trains a network for one epoch more, as runs do."""
    network = build_network(architecture, _CLASSES, data.images, normalise=True, seed=0, device=device)
    recipe, data = _recipe(batch, precision), Labelled(data.images.to(device), data.labels.to(device), _CLASSES)
    optimizer, epochs = make_optimizer(network, recipe), cycle(range(recipe.epochs))
    if compiled:
        shape, captured = batch_shape(data, recipe), device.type in CAPTURE
        if not compile_forward(network, shape, autocast_for(device, precision, cached=not captured)):
            raise SepbenchError("torch.compile does not work here: leave --compile out")
        if captured:
            capture_forward(network, shape, precision)
    return lambda: train_epoch(network, optimizer, data, recipe, Defenses([]), 0, next(epochs))


class _Pictures(Dataset[tuple[Tensor, int]]):
    def __init__(self, pixels: Tensor, labels: Tensor, transform: Callable[[Any], Tensor]) -> None:
        self.pictures = [to_pil_image(one) for one in pixels]
        self.labels = labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.pictures[index]), self.labels[index]


def _plain_epoch(architecture: str, images: int, side: int, batch: int, device: torch.device) -> Callable[[], object]:
    data = random_images(images, side)
    mean, std = channel_statistics(data.images)
    transform = transforms.Compose(
        [
            transforms.RandomCrop(side, padding=_PADDING),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(mean.tolist(), std.tolist()),
        ]
    )
    workers = 4 if device.type == "cuda" else 0
    loader = DataLoader(
        _Pictures(data.images, data.labels, transform),
        batch_size=batch,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
    )
    network = build_network(architecture, _CLASSES, data.images, normalise=False, seed=0, device=device).classifier
    network = network.to(memory_format=torch.contiguous_format).train()
    recipe = _recipe(batch, "fp32")
    optimizer = torch.optim.SGD(
        network.parameters(), recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )

    def epoch() -> float:
        total = 0.0
        for x, y in _moved(loader, device):
            optimizer.zero_grad()
            loss = F.cross_entropy(network(x), y)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(y)
        return total

    return epoch


def _moved(loader: DataLoader[tuple[Tensor, int]], device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    for x, y in loader:
        yield x.to(device), y.to(device)
