"""What stages will cost: time on this machine, from one timed batch per architecture; work; room on the disk."""

import time
from functools import cache

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from bench.contracts.network import build_network
from bench.plan.plan import Plan
from bench.plan.stage import CraftJob, Stage, VictimJob

_BATCH = 64
# Judging is a forward pass alone; crafting needs no gradients of the parameters. Shares of a training step.
_FORWARD_SHARE = 0.35
_CRAFT_SHARE = 0.8
# The gradient of the weights is a third product beside the forward one and the gradient of the activations.
_WEIGHTS_SHARE = 1.5


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


def estimate_flops(plan: Plan, stage: Stage) -> float:
    """Return the multiplications and additions of a stage; judging is left out."""
    card, job = plan.card, stage.job
    networks = [part.architecture for part in job.checkpoints] if isinstance(job, CraftJob) else [job.architecture]
    costs = [flops_of_a_pass(network, len(card.classes), card.height, card.width) for network in networks]
    share = 1.0 if isinstance(job, CraftJob) else _WEIGHTS_SHARE
    return stage.passes * card.n_train * share * sum(costs) / len(costs) if costs else 0.0


def estimate_bytes(plan: Plan, stage: Stage) -> float:
    """Return about how much room the artifact of a stage takes; that of a victim takes next to none."""
    card, job = plan.card, stage.job
    if isinstance(job, CraftJob):
        return card.n_train * 3.0 * card.height * card.width
    if isinstance(job, VictimJob):
        return 0.0
    return job.recipe.epochs * _weight_bytes(job.architecture, len(card.classes), card.height, card.width)


@cache
def flops_of_a_pass(architecture: str, classes: int, height: int, width: int) -> float:
    """Return the multiplications and additions of one image's forward pass and of the gradient of its pixels."""
    image = torch.zeros(1, 3, height, width, dtype=torch.uint8)
    network = build_network(architecture, classes, image, normalise=False, seed=0, device=torch.device("cpu"))
    network.eval().requires_grad_(False)
    with FlopCounterMode(display=False) as counter:
        F.cross_entropy(network(image.float().requires_grad_()), torch.zeros(1, dtype=torch.int64)).backward()
    return float(counter.get_total_flops())


@cache
def _weight_bytes(architecture: str, classes: int, height: int, width: int) -> float:
    image = torch.zeros(1, 3, height, width, dtype=torch.uint8)
    network = build_network(architecture, classes, image, normalise=False, seed=0, device=torch.device("cpu"))
    return float(sum(tensor.nbytes for tensor in network.state_dict().values()))


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
