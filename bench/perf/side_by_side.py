"""Throughput of victims that share a device, each in a process of its own as with --jobs."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from statistics import median
from typing import Any

import torch

from bench.core.device import precision
from bench.perf.train_epochs import our_epoch, random_images
from bench.perf.turns import Apart, apart
from bench.record.provenance import machine_name

_WARM_UP, _ROUNDS = 1, 3


def victims_throughput(
    architecture: str, counts: Sequence[int], side: int, batch: int, images: int, device: torch.device
) -> dict[str, Any]:
    """Time epochs of one victim, and of several that train at the same time on one device.

    On a CPU they divide its threads. The numbers take turns, three epochs each after one to warm up; medians are
    compared.

    Parameters
    ----------
    architecture
        A name in `ARCHITECTURES`.
    counts
        Numbers of victims.
    side, batch, images
        An epoch of each is `images` random images of 3 x side x side, in batches.

    Returns
    -------
    JSON: for each number of victims the images per second of all together, and the ratio to one victim.

    Raises
    ------
    SepbenchError
        A process ended, as where a GPU has too little memory; it has said why.

    """
    numbers = sorted({1, *counts})
    number_format, together = precision(device), torch.get_num_threads()
    seconds: dict[int, list[float]] = {count: [] for count in numbers}
    with ExitStack() as stack:
        loop = (_build, architecture, side, batch, images, number_format, str(device))
        victims = [stack.enter_context(apart(*loop)) for _ in range(numbers[-1])]
        for turn in range(_WARM_UP + _ROUNDS):
            for count in numbers:
                took = _epoch_of(victims[:count], max(1, together // count))
                if turn >= _WARM_UP:
                    seconds[count].append(took)
    rates = {count: count * images / median(took) for count, took in seconds.items()}
    return {
        "what": "victims",
        "device": machine_name(device),
        "threads": together,
        "torch": torch.__version__,
        "architecture": architecture,
        "precision": number_format,
        "image": side,
        "batch": batch,
        "images": images,
        "rows": [
            {
                "victims": count,
                "threads_of_each": max(1, together // count) if device.type == "cpu" else None,
                "images_per_second": round(rate, 1),
                "ratio": round(rate / rates[1], 2),
            }
            for count, rate in rates.items()
        ],
    }


def _epoch_of(victims: Sequence[Apart], threads: int) -> float:
    """Return the seconds until all of them have trained for one epoch."""
    began = time.perf_counter()
    for victim in victims:
        victim.begin(threads)
    for victim in victims:
        victim.wait()
    return time.perf_counter() - began


def _build(
    architecture: str, side: int, batch: int, images: int, number_format: str, device: str
) -> Callable[[], object]:
    place = torch.device(device)
    epoch = our_epoch(architecture, random_images(images, side), batch, number_format, place)
    return epoch if place.type == "cpu" else partial(_finished, epoch, place)


def _finished(epoch: Callable[[], object], device: torch.device) -> None:
    epoch()
    torch.cuda.synchronize(device)
