"""Crafting by whole methods: the device in the format that it uses, against the CPU in fp32."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from bench.checks.machine.alikeness import moved_alike
from bench.checks.machine.gradients_agree import advice_on
from bench.checks.machine.machine import CPU, EPOCHS, Machine
from bench.checks.machine.measured import Measured, held
from bench.contracts.budget import Budget
from bench.contracts.context import CraftContext
from bench.contracts.method import METHODS

BUDGET = Budget.parse("linf-32")
_STEPS = {"checkpoints": EPOCHS, "steps": 3}
ONLINE = {"steps": 4, "batch_size": 64, "noise_steps": 2, "noise_step_fraction": 0.5, "lr": 0.005, "lr_drops": ()}
"""So few and so small steps that rounding decides little: a CPU comes to 0.92 with bf16, and noise without a gradient
to 0.61."""

METHODS_AND_LIMITS: dict[str, tuple[dict[str, Any], float]] = {
    "sep": (_STEPS, 0.97),
    "sep-fa": (_STEPS, 0.97),
    "em-online": (ONLINE, 0.8),
}
"""Parameters, and the least share of pixels that are moved the same way."""


def crafting(machine: Machine) -> Iterator[Measured]:
    """Yield how alike the protected images of each method are."""
    clean = machine.crafting_data(CPU).x
    for name, (params, limit) in METHODS_AND_LIMITS.items():
        wanted = crafted(machine, name, params, CPU, "fp32")
        found = crafted(machine, name, params, machine.device, machine.compared)
        share = moved_alike(found, wanted, clean)
        what = f"{name}, {machine.pair}"
        yield held(what, share, "share of pixels moved alike", "at least", limit, advice_on(machine.compared))


def crafted(
    machine: Machine,
    name: str,
    params: dict[str, Any],
    device: torch.device,
    number_format: str,
    **context: Any,
) -> Tensor:
    """Return what a method makes of the digits; `context` are further fields of its `CraftContext`."""
    kind = METHODS.get(name)
    method = kind(kind.Params.model_validate({**params, "precision": number_format}))
    data = machine.crafting_data(device)
    surrogates = [machine.checkpoints(device) for _ in method.needs()]
    ctx = CraftContext(
        surrogates, seed=0, device=device, images=len(data.y), architecture=machine.sizes.thin, **context
    )
    method.prepare(lambda: iter([data]), ctx)
    return method.craft(data, BUDGET, ctx)
