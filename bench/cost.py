"""How long stages will take on this machine, from one timed batch per architecture."""

import time
from functools import cache

import torch
import torch.nn.functional as F

from bench.networks import build_network
from bench.plan import CraftJob, Plan, Stage

_BATCH = 64
# Judging is a forward pass alone; crafting needs no gradients of the parameters. Shares of a training step.
_FORWARD_SHARE = 0.35
_CRAFT_SHARE = 0.8


def estimate_seconds(plan: Plan, stage: Stage, device: torch.device) -> float:
    """Return about how long a stage takes on `device`; data loading and fixed costs are left out."""
    card = plan.card
    job = stage.job
    if isinstance(job, CraftJob):
        if not job.checkpoints:
            return 0.5
        costs = [
            _seconds_per_image(part.architecture, len(card.classes), card.height, card.width, device)
            for part in job.checkpoints
        ]
        return stage.passes * card.n_train * _CRAFT_SHARE * sum(costs) / len(costs)
    cost = _seconds_per_image(job.architecture, len(card.classes), card.height, card.width, device)
    return cost * (stage.passes * card.n_train + job.recipe.epochs * _FORWARD_SHARE * card.n_test)


@cache
def _seconds_per_image(architecture: str, classes: int, height: int, width: int, device: torch.device) -> float:
    """Return the time of one forward+backward pass of one image, the better of two timed batches."""
    images = torch.zeros(_BATCH, 3, height, width, dtype=torch.uint8)
    network = build_network(architecture, classes, images, normalise=False, seed=0, device=device)
    x = (images.float() / 255).to(device, memory_format=torch.channels_last)
    y = torch.zeros(_BATCH, dtype=torch.int64, device=device)
    times = []
    for _ in range(3):
        began = time.perf_counter()
        F.cross_entropy(network(x), y).backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - began)
    return min(times[1:]) / _BATCH
