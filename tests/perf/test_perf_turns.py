"""What is measured apart from sepbench runs in a process of its own, which ends with the measurement."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bench.core.errors import SepbenchError
from bench.perf.turns import baseline, in_turns
from tests.making.networks import CPU

pytestmark = pytest.mark.slow


def notes(path: Path, factor: int) -> Callable[[], object]:
    """Return a loop that appends its process, its threads and a number to a file."""

    def loop() -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{os.getpid()} {torch.get_num_threads()} {factor}\n")

    return loop


def dies() -> Callable[[], object]:
    return lambda: os.kill(os.getpid(), signal.SIGKILL)


def test_a_loop_apart_runs_elsewhere_with_as_many_threads(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("notes") / "notes"
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with baseline(CPU, notes, path, 7) as loop:
            seconds, _ = in_turns({"apart": loop}, CPU)
    finally:
        torch.set_num_threads(before)
    lines = [line.split() for line in path.read_text().splitlines()]
    assert len(seconds["apart"]) == 3
    assert len(lines) == 6
    (process,) = {int(one[0]) for one in lines}
    assert process != os.getpid()
    assert {(int(one[1]), int(one[2])) for one in lines} == {(2, 7)}
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_where_its_process_ends_one_sentence_says_so() -> None:
    sentence = "^the process of a measured loop ended before its time: see what it printed$"
    with baseline(CPU, dies) as loop, pytest.raises(SepbenchError, match=sentence):
        loop()
