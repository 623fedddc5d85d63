"""Training: the accuracies that the device reaches, against those of the CPU in fp32."""

import math
from collections.abc import Iterator
from statistics import mean, stdev

from bench.checks.machine.gradients_agree import advice_on
from bench.checks.machine.machine import Machine
from bench.checks.machine.measured import Measured, held

_STANDARD_ERRORS = 4
_TIMES_CHANCE = 3


def accuracies(machine: Machine) -> Iterator[Measured]:
    """Yield whether the CPU learns at all, and how far the device is from what it reaches."""
    on_cpu = machine.accuracies_on_cpu
    runs = f"mean of {len(on_cpu)} seeds on {machine.sizes.test_images} test images"
    yield held(
        "accuracy, cpu fp32",
        mean(on_cpu),
        "percent",
        "at least",
        _TIMES_CHANCE * 100 / machine.classes,
        "the CPU itself does not learn, so that nothing can be compared with it: install another version of torch",
        runs,
    )
    seeds = range(machine.sizes.seeds)
    drafts = [machine.draft(str(machine.device), machine.compared, seed) for seed in seeds]
    here = [
        machine.train_thin(machine.device, machine.compared, seed, draft)[1].test_acc[-1]
        for seed, draft in zip(seeds, drafts, strict=True)
    ]
    yield held(
        f"accuracies, {machine.pair}",
        abs(mean(here) - mean(on_cpu)),
        "points between them",
        "at most",
        noise(on_cpu, machine.sizes.test_images),
        advice_on(machine.compared),
        f"{mean(here):.1f} and {mean(on_cpu):.1f} %, {_STANDARD_ERRORS} standard errors of seeds and test images",
    )


def noise(accuracies: list[float], test_images: int) -> float:
    """Return how far the means of two such groups of trainings are apart at most by chance, in points.

    By chance of the seed, as the accuracies (percent) vary, and by that of the test images, which is binomial: few
    seeds may vary little by luck.
    """
    share = mean(accuracies) / 100
    of_seeds = stdev(accuracies) ** 2 if len(accuracies) > 1 else 0.0
    of_images = 100**2 * share * (1 - share) / test_images
    return _STANDARD_ERRORS * math.sqrt(2 * (of_seeds + of_images) / len(accuracies))
