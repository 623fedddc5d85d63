"""Timing loops in turns, so that what else the machine does meets all of them alike."""

import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

import torch

from bench.core.errors import SepbenchError
from bench.engine.memory import keep_freed_memory

_WARM_UP, _ROUNDS = 3, 3  # until the system has backed all memory of the plain loop

Loop = Callable[[], object]


def in_turns(loops: dict[str, Loop], device: torch.device) -> tuple[dict[str, list[float]], dict[str, float | None]]:
    """Run loops in turns, three rounds after three to warm up; return seconds and peak GPU memory in MiB of each."""
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    memory: dict[str, float | None] = dict.fromkeys(loops)
    for turn in range(_WARM_UP + _ROUNDS):
        for name, loop in loops.items():
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            began = time.perf_counter()
            loop()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
                memory[name] = round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
            if turn >= _WARM_UP:
                seconds[name].append(time.perf_counter() - began)
    return seconds, memory


@contextmanager
def baseline(device: torch.device, build: Callable[..., Loop], *arguments: object) -> Iterator[Loop]:
    """Yield a loop as it runs in a process that sepbench has not set up; this process is set up as for its stages.

    On a GPU, for which nothing is set up, it is the loop itself.

    Parameters
    ----------
    build
        A function at the top of a module, which makes the loop from `arguments`.

    Raises
    ------
    SepbenchError
        The process ended; it has said why.

    """
    if device.type != "cpu":
        yield build(*arguments)
        return
    keep_freed_memory()
    with apart(build, *arguments) as loop:
        yield loop


class Apart:
    """A loop in a process of its own, which is called like one here, or begun and waited for while others run."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def __call__(self) -> None:
        """Run it once."""
        self.begin()
        self.wait()

    def begin(self, threads: int | None = None) -> None:
        """Let it run once, with so many threads where that is given; raises `SepbenchError` where it has ended."""
        with _told():
            self._pipe.send(threads)

    def wait(self) -> None:
        """Wait until it has run; raises `SepbenchError` where it has ended."""
        with _told():
            self._pipe.recv()


@contextmanager
def apart(build: Callable[..., Loop], *arguments: object) -> Iterator[Apart]:
    """Yield a loop in a process of its own, with as many threads as this one has; see `baseline`."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, torch.get_num_threads(), build, arguments), daemon=True)
    process.start()
    theirs.close()
    try:
        yield Apart(ours)
    finally:
        ours.close()
        process.terminate()
        process.join()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError) as error:
        raise SepbenchError("the process of a measured loop ended before its time: see what it printed") from error


def _serve(pipe: Connection, threads: int, build: Callable[..., Loop], arguments: tuple[object, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits for this one, and ends it
    torch.set_num_threads(threads)
    loop = build(*arguments)
    while True:
        try:
            wanted = pipe.recv()
        except EOFError:
            return
        if wanted is not None:
            torch.set_num_threads(wanted)
        loop()
        pipe.send(None)


def read_list(option: str, text: str, fits: Callable[[str], bool]) -> list[str]:
    """Return the parts of a comma-separated option; raises `SepbenchError` where one does not fit."""
    parts = [part.strip() for part in text.split(",")]
    wrong = [part for part in parts if not fits(part) or part == "0"]
    if wrong:
        raise SepbenchError(f"{option} {text}: '{wrong[0]}' is not one of its values, see sepbench perf --help")
    return parts
