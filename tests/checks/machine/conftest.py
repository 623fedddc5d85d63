"""A machine that is checked on few digits, whose CPU has trained its network once."""

import pytest

from bench.checks.machine.machine import CPU, Machine, Sizes

FEW = Sizes(images=64, test_images=50, wide="resnet8", wide_images=16, seeds=1, timed=8, batch=4)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    machine = Machine(CPU, FEW, tmp_path_factory.mktemp("machine"))
    assert machine.accuracies_on_cpu
    return machine
