"""A process keeps the memory that it frees: the next step does not have to ask for it again."""

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

# Takes and frees 64 MiB, more than glibc keeps by itself, and prints how many pages the system had to give for it once
# the heap has settled.
_STEPS = """
import resource, sys, torch
from bench.engine.memory import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
for _ in range(20):
    torch.ones(2**24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", _STEPS, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to keep memory")
def test_what_is_freed_is_taken_again_without_the_system() -> None:
    assert faults("kept") < faults("as always") / 10
