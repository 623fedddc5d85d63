"""Protections of a few small pictures, in a moment: two epochs of a thin network, two steps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from bench.flows.carry_out import Means, silent, workplace
from bench.flows.deliver import Delivery, Protected
from bench.flows.protect import plan_protection
from bench.flows.protection import Protection
from bench.store.home import Home
from tests.making.pictures import file_of, photo, put

CPU = torch.device("cpu")
QUICK: dict[str, Any] = {
    "method": {"sep": {"checkpoints": 2, "steps": 2, "step_size": 4}},
    "recipe": {"name": "digits", "epochs": 2, "batch_size": 8},
}


def pets(folder: Path, each: int = 6, side: int = 16) -> Path:
    """Write so many pictures of two classes, all of one size."""
    files = {
        f"{name}/{number}.png": file_of(photo(side, side, seed=100 * label + number))
        for label, name in enumerate(("cat", "dog"))
        for number in range(each)
    }
    return put(folder, files)


def planned(images: Path, home: Path, **changes: Any) -> Protection:
    """Return a quick protection of pictures."""
    return plan_protection(images, **{**QUICK, **changes}, home=Home(home), device=CPU)


def carried_out(
    protection: Protection, out: Path, progress: Callable[[int], object] = lambda written: None, **how: Any
) -> Protected:
    """Craft and write it."""
    means = Means(protection.home, CPU, mlflow=False, display=silent)
    with workplace(protection.plan, means) as place, Delivery(protection, out, **how) as delivery:
        delivery.craft(place)
        return delivery.write(progress)


def told_of(*files: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a manifest as far as a later run reads it, of pictures that are told of as far as is given."""
    measured = {"linf": 8, "l2": 1.0, "l0": 256, "psnr": 32.0, "ssim": None}
    return {
        "pictures": len(files),
        "classes": ["cat", "dog"],
        "surrogates": [{"network": "resnet8", "training_accuracy": 90.0}],
        "spent": {"largest_linf": 8, "mean_psnr": 32.0, "mean_ssim": None},
        "remarks": [],
        "files": [{**measured, **one} for one in files],
        **more,
    }
