"""Faults of every kind at random: nothing finished is lost, nothing wrong is kept, and the table is the right one.

`SEPBENCH_FAULTS=1000 pytest tests/faults` injects so many, and `SEPBENCH_FAULTS_SEED` chooses others. What is counted
as skipped came too late to do harm.
"""

import os
import random
from pathlib import Path

import pytest

from tests.faults.faults import FAULTS
from tests.faults.sweeps import Sweep
from tests.making.experiments import SEP
from tests.making.whole_runs import Undisturbed

COUNT = int(os.environ.get("SEPBENCH_FAULTS", len(FAULTS)))
SEED = int(os.environ.get("SEPBENCH_FAULTS_SEED", 0))
KINDS = [*FAULTS]
SEEDS = range(SEED, SEED + COUNT)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "seed"),
    [
        pytest.param(KINDS[i % len(KINDS)], SEED + i, id=f"{KINDS[i % len(KINDS)]}, seed {SEED + i}")
        for i in range(COUNT)
    ],
)
def test_a_sweep_survives(kind: str, seed: int, undisturbed: Undisturbed, tmp_path: Path) -> None:
    rng = random.Random(seed)
    sweep = Sweep(undisturbed.before(rng.choice(SEP), tmp_path), undisturbed, rng)
    happened = FAULTS[kind](sweep)
    sweep.survive()
    if not happened:
        pytest.skip("it came too late, and the sweep had ended")
