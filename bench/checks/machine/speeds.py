"""How fast the device is at what it does best, and how near crafting and training come to that."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

import torch

from bench.checks.machine.machine import CPU, Machine, recipe
from bench.checks.machine.measured import Measured, graded
from bench.checks.machine.memory_fits import kept_bytes_per_image
from bench.contracts.defense import Defenses
from bench.engine.step import make_optimizer
from bench.engine.training import Labelled, train_epoch
from bench.perf import rates
from bench.plan.cost import flops_of_a_pass

_TURNS = 3
_WRITTEN_AND_READ = 2
_WITH_WEIGHTS = 1.5
"""The gradient of the weights is a third product beside the forward one and the gradient of the activations."""

SHARES = {"cpu": (0.1, 0.1), "cuda": (0.4, 0.1)}
"""Of the rate of matrix products that crafting and training should come to."""

_UPLOAD = 4.0

_OF_ONE_THREAD = 0.7
"""What several should come to at least, where other programs take turns with them."""

_THREADS = "more threads are slower here than one: set OMP_NUM_THREADS to the number of cores that are free"
_BUSY = "see whether something else is using this machine, and which clocks and how many cores it is left with"


def speeds(machine: Machine) -> Iterator[Measured]:
    """Yield the rates of the device, then those of crafting and training as a share of them."""
    number_format, device = machine.number_format, machine.device
    products = rates.matmul_flops_per_second(number_format, device)
    copies = rates.copy_bytes_per_second(device)
    yield from _rates_of_cpu(products, copies) if device.type == "cpu" else _rates_of_gpu(machine, products, copies)
    flops = flops_of_a_pass(machine.sizes.wide, machine.classes, 32, 32)
    images = machine.timed_images
    wide = machine.seen(machine.sizes.wide, images)
    moved = _WRITTEN_AND_READ * kept_bytes_per_image(wide, number_format, images)
    of_crafting, of_training = SHARES[device.type]
    passes = len(images) / _seconds(machine, machine.timed_step)
    yield _share("crafting", machine, passes, flops * passes / products, of_crafting, moved * passes / copies)
    trained = len(images) / _seconds(machine, _training_epoch(machine))
    share, of_copies = _WITH_WEIGHTS * flops * trained / products, moved * trained / copies
    yield _share("training", machine, trained, share, of_training, of_copies)


def _rates_of_cpu(products: float, copies: float) -> Iterator[Measured]:
    with _one_thread():
        product_alone, copy_alone = rates.matmul_flops_per_second("fp32", CPU), rates.copy_bytes_per_second(CPU)
    threads = f"threads: {torch.get_num_threads()}, against {_OF_ONE_THREAD} of one"
    for name, rate, alone, unit in (
        ("matrix products, fp32", products, product_alone, "GFLOP/s"),
        ("copies in memory", copies, copy_alone, "GB/s"),
    ):
        yield graded(name, rate / 1e9, unit, "at least", _OF_ONE_THREAD * alone / 1e9, _THREADS, threads)


def _rates_of_gpu(machine: Machine, products: float, copies: float) -> Iterator[Measured]:
    device = machine.device
    plain = max(rates.matmul_flops_per_second("fp32", one) for one in (device, CPU))
    emulated = "set precision to fp32 in methods and in the recipe, if this GPU has no bf16 of its own; else "
    name = f"matrix products, {machine.number_format}"
    advice = f"{emulated if machine.number_format == 'bf16' else ''}{_BUSY}"
    yield graded(name, products / 1e12, "TFLOP/s", "at least", plain / 1e12, advice, "against fp32 here and on the CPU")
    on_cpu = rates.copy_bytes_per_second(CPU)
    yield graded("copies in memory", copies / 1e9, "GB/s", "at least", on_cpu / 1e9, _BUSY, "against the CPU's")
    pinned, usual = (rates.upload_bytes_per_second(device, pinned=one) / 1e9 for one in (True, False))
    link = "see in nvidia-smi -q how wide and fast the link of this GPU is"
    note = f"of pinned memory; {usual:.3g} of other"
    yield graded("copies to the GPU", pinned, "GB/s", "at least", _UPLOAD, link, note)


def _share(what: str, machine: Machine, images: float, share: float, least: float, of_copies: float) -> Measured:
    note = f"{images:.4g} images of 32x32 a second, {of_copies:.2g} of the rate of copies"
    name = f"{what}, {machine.sizes.wide} {machine.number_format}"
    compiles = (
        "see above whether torch.compile works, and " if what == "crafting" and machine.device.type == "cuda" else ""
    )
    unit = "of the rate of matrix products"
    return graded(name, share, unit, "at least", least, f"{compiles}{_BUSY}", note)


def _training_epoch(machine: Machine) -> Callable[[], object]:
    images = machine.timed_images
    network = machine.network(machine.sizes.wide, 0, machine.device, images)
    how = recipe("auto").changed({"batch_size": machine.sizes.batch})
    optimizer = make_optimizer(network, how)
    data = Labelled(images.to(machine.device), machine.labels(len(images)), machine.classes)
    return lambda: train_epoch(network, optimizer, data, how, Defenses([]), 0, 0)


def _seconds(machine: Machine, work: Callable[[], object]) -> float:
    """Return what it takes, the median of some turns after one to warm up."""
    seconds = []
    for _ in range(1 + _TURNS):
        rates.wait_for(machine.device)
        began = time.perf_counter()
        work()
        rates.wait_for(machine.device)
        seconds.append(time.perf_counter() - began)
    return median(seconds[1:])


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
