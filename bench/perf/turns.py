"""Timing loops in turns, so that what else the machine does meets all of them alike."""

import time
from collections.abc import Callable

import torch

from bench.errors import SepbenchError

_ROUNDS = 3


def in_turns(
    loops: dict[str, Callable[[], object]], device: torch.device
) -> tuple[dict[str, list[float]], dict[str, float | None]]:
    """Run loops in turns, three rounds after one to warm up; return the seconds of each and peak GPU memory in MiB."""
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    memory: dict[str, float | None] = dict.fromkeys(loops)
    for turn in range(_ROUNDS + 1):
        for name, loop in loops.items():
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            began = time.perf_counter()
            loop()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
                memory[name] = round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
            if turn > 0:
                seconds[name].append(time.perf_counter() - began)
    return seconds, memory


def read_list(option: str, text: str, fits: Callable[[str], bool]) -> list[str]:
    """Return the parts of a comma-separated option; raises `SepbenchError` where one does not fit."""
    parts = [part.strip() for part in text.split(",")]
    wrong = [part for part in parts if not fits(part) or part == "0"]
    if wrong:
        raise SepbenchError(f"{option} {text}: '{wrong[0]}' is not one of its values, see sepbench perf --help")
    return parts
