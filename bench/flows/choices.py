"""What is chosen for a person who leaves it open: network, recipe, the method's effort, the size of crafting."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from bench.contracts.budget import Budget
from bench.contracts.method import METHODS
from bench.data.decoding import Fit

Device = Literal["cpu", "cuda"]

RECIPE = "own-images"
"""The recipe that epochs, batch and crop are set in."""

FIT: Fit = "squeeze"
"""How pictures of other proportions are brought to the square of crafting: all of a picture gets its protection."""

LARGEST: Mapping[str, int] = {"cpu": 64, "cuda": 224}
"""The longest side in pixels at which a device crafts unless it is told otherwise."""

_MOST_PASSES_ON_CPU = 90  # those of sep-fast
_SMALLEST = 8
_SMALL_PICTURE = 96  # the longest side that networks with a stem for small images are made for


@dataclass(frozen=True)
class Size:
    """The size at which perturbations are crafted, in pixels.

    Attributes
    ----------
    side
        Of the square that all pictures are brought to; None where they stay as they are.
    height, width
        What networks see.

    """

    side: int | None
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


def crafting_size(sizes: NDArray[np.int64], device: Device, wanted: int | None = None) -> Size:
    """Return the size for pictures of these heights and widths, int64 [N, 2].

    Pictures of one size keep it where the device can work with it; all others are brought to a square, whose side is
    `wanted` or else the usual shorter side of the pictures, within what the device can work with.
    """
    height, width = sizes[0].tolist()
    fits = max(height, width) <= LARGEST[device] if wanted is None else height == width == wanted
    if fits and (sizes == sizes[0]).all():
        return Size(None, height, width)
    side = wanted or min(LARGEST[device], max(_SMALLEST, int(np.median(sizes.min(axis=1)))))
    return Size(side, side, side)


def network(device: Device, size: Size) -> str:
    """Return the architecture of surrogate and victims: one that the device trains on such images within its time."""
    if device == "cpu":
        return "resnet8"
    return "resnet18" if max(size.height, size.width) <= _SMALL_PICTURE else "resnet18-imagenet"


def recipe(images: int, device: Device, size: Size) -> dict[str, Any]:
    """Return the recipe for so many pictures, as an experiment writes it.

    Fewer pictures are seen more often, in smaller batches, so that there are enough steps; the crop moves them by up to
    an eighth of their side.
    """
    fewest, most, seen, largest_batch = (15, 60, 20_000, 32) if device == "cpu" else (30, 120, 1_500_000, 128)
    batch = 2 ** round(math.log2(images / 20))
    return {
        "name": RECIPE,
        "epochs": min(max(math.ceil(seen / images), fewest), most),
        "batch_size": min(max(batch, 4), largest_batch),
        "augmentation": {"crop_padding": max(min(size.height, size.width) // 8, 1)},
    }


def effort(method: str, given: Mapping[str, Any], budget: Budget, epochs: int, device: Device) -> dict[str, Any]:
    """Return the parameters of a method: those given, and for the others what suits the device and the budget.

    On a CPU a method that takes over 90 passes over the images by default takes few checkpoints of a run, and few
    gradient steps. A step is so long that all of them together reach beyond the budget. One that trains while it crafts
    is as published: its steps may be those of a network, which has to learn something.
    """
    kind = METHODS.get(method)
    fields = kind.Params.model_fields
    chosen: dict[str, Any] = dict(given)
    if kind.trains:
        return chosen
    too_many = device == "cpu" and kind().passes() > _MOST_PASSES_ON_CPU
    if "checkpoints" in fields and not given.get("epochs"):
        usual = fields["checkpoints"].default
        chosen.setdefault("checkpoints", min(usual, epochs, *([5] if too_many else [])))
    if "steps" in fields:
        steps = chosen.setdefault("steps", 10 if too_many else fields["steps"].default)
        counted = isinstance(steps, int) and steps > 0  # else the method refuses it
        if "step_size" in fields and "step_fraction" not in given and budget.norm == "linf" and counted:
            needed = math.ceil(125 * (budget.size or 0) / steps) / 100
            if needed > 1:
                chosen.setdefault("step_size", needed)
        elif "step_size" not in fields and "step_fraction" in fields and counted:
            chosen.setdefault("step_fraction", max(fields["step_fraction"].default, math.ceil(1250 / steps) / 1000))
    return chosen


def kind_of(device: torch.device) -> Device:
    """Return whether a GPU does the work."""
    return "cuda" if device.type == "cuda" else "cpu"
