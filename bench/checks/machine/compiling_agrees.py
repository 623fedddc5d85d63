"""torch.compile on the device: the same gradients as without it, of images and of weights."""

import logging
import time
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.checks.machine.alikeness import alike, flattened
from bench.checks.machine.gradients_agree import LIMITS, target_of
from bench.checks.machine.machine import Machine, recipe
from bench.checks.machine.measured import Measured, held, not_measured
from bench.core.heard import heard
from bench.engine import compiling
from bench.engine.ensemble import Ensemble
from bench.engine.step import autocast_for
from bench.perf.rates import wait_for

_WRONG = "what torch.compile makes here is wrong: install another version of torch, and leave --compile out until then"


def compiled(machine: Machine) -> Iterator[Measured]:
    """Yield how compiled gradients agree with eager ones, in the format that the device uses."""
    # Without this it tells of a missing CUDA where nobody asked for one.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    yield from _crafting(machine)
    yield from _training(machine)


def _crafting(machine: Machine) -> Iterator[Measured]:
    data, networks = machine.crafting_data(machine.device), machine.checkpoints(machine.device)
    target, number_format = target_of(data), machine.number_format
    name = f"crafting compiled and eager, {number_format}"
    eager = Ensemble(networks, precision=number_format, backend=None)  # type: ignore[arg-type]
    with heard() as warnings:
        fast = Ensemble(networks, precision=number_format, backend=compiling.BACKEND)  # type: ignore[arg-type]
        first, _ = _timed(machine, lambda: fast.mean_gradient(data.x, target))
    if not fast.compiled.active:
        yield _uncompiled(machine, name, warnings)
        return
    _timed(machine, lambda: eager.mean_gradient(data.x, target))
    (slow, wanted), (quick, found) = (
        _timed(machine, lambda one=one: one.mean_gradient(data.x, target))  # type: ignore[misc]
        for one in (eager, fast)
    )
    (cosine, signs), (least_cosine, least_signs) = alike(found, wanted), LIMITS[number_format]
    note = f"{slow / quick:.2g} times as fast after {first:.0f} s"
    yield held(name, cosine, "cosine", "at least", least_cosine, _WRONG, note)
    yield held(f"{name}, signs", signs, "share that is equal", "at least", least_signs, _WRONG)


def _training(machine: Machine) -> Iterator[Measured]:
    data, number_format = machine.crafting_data(machine.device), machine.number_format
    name = f"training compiled and eager, {number_format}"
    size = min(recipe(number_format).batch_size, len(data.y))
    x, y = data.x[:size].contiguous(memory_format=torch.channels_last), data.y[:size]
    autocast = autocast_for(machine.device, number_format)
    eager, fast = (machine.network(machine.sizes.thin, 0, machine.device) for _ in range(2))
    wanted = _gradient_of_weights(eager, x, y, autocast)
    with (
        heard() as warnings,
        compiling.compiling(fast, tuple(x.shape), autocast_for(machine.device, number_format)) as works,
    ):
        found = _gradient_of_weights(fast, x, y, autocast)
    if not works or warnings:
        yield _uncompiled(machine, name, warnings)
        return
    cosine = float(F.cosine_similarity(found.double(), wanted.double(), dim=0))
    yield held(name, cosine, "cosine", "at least", LIMITS[number_format][0], _WRONG)


def _gradient_of_weights(network: nn.Module, x: Tensor, y: Tensor, autocast: torch.autocast) -> Tensor:
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    with autocast:
        loss = F.cross_entropy(network.train()(x), y)
    return flattened(list(torch.autograd.grad(loss, weights))).cpu()


def _uncompiled(machine: Machine, name: str, warnings: list[logging.LogRecord]) -> Measured:
    reason = warnings[0].getMessage() if warnings else "torch.compile left the network as it is"
    if machine.device.type == "cpu" and "InvalidCxxCompiler" in reason:
        return not_measured(name, "·", "there is no C++ compiler", "only --compile wants one: install g++ for it")
    advice = "install g++ and the triton that belongs to this version of torch" if machine.device.type == "cuda" else ""
    return not_measured(name, "✗", reason, advice or "leave --compile out, or install another version of torch")


def _timed(machine: Machine, work: Callable[[], Tensor]) -> tuple[float, Tensor]:
    wait_for(machine.device)
    began = time.perf_counter()
    result = work()
    wait_for(machine.device)
    return time.perf_counter() - began, result
