"""What a pass takes of memory, against the estimate that sizes the micro-batches."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.checks.machine.machine import Machine
from bench.checks.machine.measured import Measured, graded
from bench.contracts.network import Network
from bench.engine import microbatches
from bench.engine.ensemble import Ensemble
from bench.engine.frozen import Frozen
from bench.perf.rates import wait_for

_FEW = 4
_UNIT = "times the memory of the images"


def memory(machine: Machine) -> Iterator[Measured]:
    """Yield the peak of a pass of the wide network; on a CPU, where torch tells none, what is kept for the gradient."""
    images, number_format = machine.timed_images, machine.number_format
    name = f"memory of a pass, {machine.sizes.wide} {number_format}"
    of_an_image = images[0].numel() * 4
    estimate = _estimate(machine) / of_an_image
    if machine.device.type == "cpu":
        wide = machine.seen(machine.sizes.wide, images)
        kept = kept_bytes_per_image(wide, number_format, images) / of_an_image
        note = "kept for the gradient, as torch tells no peak of a CPU, where micro-batches have a fixed size"
        advice = "a GPU may run out of memory on this network, and make its micro-batches smaller: nothing for a CPU"
        yield graded(name, kept, _UNIT, "at most", estimate, advice, note)
        return
    advice = "crafting makes its micro-batches smaller once memory has run out: leave the GPU to one process"
    peak, note = _peak(machine) / (len(images) * of_an_image), f"peak at {len(images)} images"
    yield graded(name, peak, _UNIT, "at most", estimate, advice, note)


def _estimate(machine: Machine) -> int:
    """Return the bytes that an image is thought to take where micro-batches are sized for memory."""
    network = machine.seen(machine.sizes.wide, machine.timed_images).to(machine.device)
    ensemble = Ensemble([network], precision="auto", backend=None)
    x, y = machine.timed_images[:1].to(machine.device).float() / 255, machine.labels(1)
    return microbatches.memory_of_an_image(x, y, lambda images, classes: ensemble.gradient(0, images, classes))


def kept_bytes_per_image(network: Network, number_format: str, images: Tensor) -> float:
    """Return what a forward pass keeps for the gradient of an image, weights left out; `network` is on the CPU."""
    frozen = Frozen(network, torch.bfloat16 if number_format == "bf16" else None)
    x = (images[:_FEW].float() / 255).contiguous(memory_format=torch.channels_last).requires_grad_()
    weights = {weight.untyped_storage().data_ptr() for weight in frozen.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor  # held, so that no other gets its place
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = F.cross_entropy(frozen(x).float(), torch.zeros(len(x), dtype=torch.int64), reduction="sum")
    sizes = [one.untyped_storage().nbytes() for place, one in kept.items() if place not in weights]
    del loss
    return sum(sizes) / len(x)


def _peak(machine: Machine) -> int:
    """Return the most memory, in bytes, that a gradient takes besides what is there before."""
    machine.timed_step()  # compiles
    wait_for(machine.device)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(machine.device)
    before = torch.cuda.memory_allocated(machine.device)
    machine.timed_step()
    wait_for(machine.device)
    return torch.cuda.max_memory_allocated(machine.device) - before
