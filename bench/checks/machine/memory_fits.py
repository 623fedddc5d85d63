"""What a pass takes of memory, against the estimate that sizes the micro-batches."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.checks.machine.gradients_agree import seen
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
    images, number_format = noise(machine.sizes.timed), machine.number_format
    wide, name = seen(machine, machine.sizes.wide, images), f"memory of a pass, {machine.sizes.wide} {number_format}"
    of_images = images[0].numel() * 4
    if machine.device.type == "cpu":
        kept = kept_bytes_per_image(wide, number_format, images) / of_images
        note = "kept for the gradient, as torch tells no peak of a CPU, where micro-batches have a fixed size"
        yield _held(
            name, kept, "a GPU of this machine may run out of memory: see what it says with --devices cuda", note
        )
        return
    peak, size = _peak(machine, wide, images)
    advice = "crafting makes its micro-batches smaller once memory has run out: leave the GPU to one process"
    yield _held(name, peak / (size * of_images), advice, f"peak at micro-batches of {size}")


def noise(count: int) -> Tensor:
    """Return random images, uint8 [count, 3, 32, 32]."""
    draws = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=draws)


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


def _held(name: str, measured: float, advice: str, note: str) -> Measured:
    return graded(name, measured, _UNIT, "at most", microbatches.ACTIVATIONS, advice, note)


def _peak(machine: Machine, network: Network, images: Tensor) -> tuple[int, int]:
    """Return the most memory that a gradient takes besides what is there before, in bytes, at which micro-batches."""
    device = machine.device
    ensemble = Ensemble([network.to(device)], precision="auto")
    x, y = images.to(device).float() / 255, torch.zeros(len(images), dtype=torch.int64, device=device)
    ensemble.mean_gradient(x, y)  # compiles
    wait_for(device)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    ensemble.mean_gradient(x, y)
    wait_for(device)
    size = ensemble.micro_batches.size
    assert size is not None
    return torch.cuda.max_memory_allocated(device) - before, size
