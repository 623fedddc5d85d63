"""All checks of a machine, one after the other."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from bench.checks.machine.compiling_agrees import compiled
from bench.checks.machine.crafting_agrees import crafting
from bench.checks.machine.going_on import resumed
from bench.checks.machine.gradients_agree import gradients
from bench.checks.machine.machine import Machine, Sizes
from bench.checks.machine.measured import Measured, broken_down
from bench.checks.machine.memory_fits import memory
from bench.checks.machine.speeds import speeds
from bench.checks.machine.training_agrees import accuracies
from bench.engine.memory import keep_freed_memory

CHECKS: dict[str, Callable[[Machine], Iterator[Measured]]] = {
    "accuracies of trainings": accuracies,
    "gradients, against a plain loop in double precision on the CPU": gradients,
    "crafting with SEP, SEP-FA and em-online": crafting,
    "what was stopped and goes on": resumed,
    "torch.compile, which may take a minute": compiled,
    "memory of a pass": memory,
    "speed of crafting and training": speeds,
}


def examine_machine(
    device: torch.device, sizes: Sizes | None = None, begin: Callable[[str], None] = lambda title: None
) -> Iterator[Measured]:
    """Yield what each check of a device measures, as it ends; one that breaks down itself is a failed one.

    Parameters
    ----------
    sizes
        How much is computed; what fits the device if unset.
    begin
        Called with what is checked next.

    """
    if device.type == "cpu":
        keep_freed_memory()  # as the stages of a run do
    with tempfile.TemporaryDirectory(prefix="sepbench-") as folder:
        machine = Machine(device, sizes or Sizes.fit_for(device), Path(folder))
        for title, check in CHECKS.items():
            begin(title)
            try:
                yield from check(machine)
            except Exception as error:  # of the machine, its driver, its compiler
                yield broken_down(title, error)
            if device.type == "cuda":
                torch.cuda.empty_cache()
