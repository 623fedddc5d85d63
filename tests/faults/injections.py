"""What goes wrong inside a process: memory, disks, clocks, methods. Called in the process, before the command runs."""

import errno
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tests.making.process_notes import Event, Notes


def _failing(notes: Notes, fail: Callable[[], None], number: int, *, once: bool) -> Callable[[Any], Any]:
    """Return what lets functions fail at the n-th call of all of them together, and from then on unless `once`."""
    done = 0

    def counted(function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal done
            done += 1
            if done == number or (done > number and not once):
                notes.take(Event("injected"))
                fail()
            return function(*arguments, **options)

        return call

    return counted


@dataclass(frozen=True)
class disk_refuses:  # noqa: N801 - reads as what happens: disk_refuses(errno.EROFS, 7)
    """Refuse from the n-th time on that a file is made durable, a folder made or a name given; once where it mends."""

    reason: int
    number: int
    mends: bool = False

    def __call__(self, notes: Notes) -> None:
        def refuse() -> None:
            raise OSError(self.reason, os.strerror(self.reason))

        counted = _failing(notes, refuse, self.number, once=self.mends)
        os.fsync = counted(os.fsync)
        Path.replace = counted(Path.replace)  # type: ignore[method-assign]
        Path.rename = counted(Path.rename)  # type: ignore[method-assign]
        Path.mkdir = counted(Path.mkdir)  # type: ignore[method-assign]


REFUSALS = (errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT, errno.EACCES)


@dataclass(frozen=True)
class out_of_memory:  # noqa: N801
    """Find no memory at the n-th gradient, of weights or of images, or at all from then on."""

    number: int
    always: bool

    def __call__(self, notes: Notes) -> None:
        def refuse() -> None:
            raise torch.OutOfMemoryError("CUDA out of memory: as one would be")

        counted = _failing(notes, refuse, self.number, once=not self.always)
        torch.Tensor.backward = counted(torch.Tensor.backward)  # type: ignore[method-assign]
        torch.autograd.grad = counted(torch.autograd.grad)


@dataclass(frozen=True)
class clock_jumps:  # noqa: N801
    """Let the time of day jump by up to a year, to and fro, now and then."""

    seed: int

    def __call__(self, notes: Notes) -> None:
        rng, now, now_ns = random.Random(self.seed), time.time, time.time_ns
        offset = 0.0

        def jumped() -> float:
            nonlocal offset
            if rng.random() < 0.2:
                offset = rng.uniform(-3e7, 3e7)
                notes.take(Event("injected"))
            return offset

        time.time = lambda: now() + jumped()
        time.time_ns = lambda: now_ns() + int(jumped() * 1e9)


MISBEHAVIOURS = ("raises", "no numbers", "another shape", "leaves the budget", "ends Python", "dies", "never ends")


@dataclass(frozen=True)
class sep_misbehaves:  # noqa: N801
    """Let the method sep do what no method may."""

    how: str

    def __call__(self, notes: Notes) -> None:
        from bench.api import METHODS

        kind, how = METHODS.get("sep"), self.how
        craft = kind.craft

        def misbehave(self: Any, data: Any, budget: Any, ctx: Any) -> Any:
            notes.take(Event("injected"))
            match how:
                case "raises":
                    raise RuntimeError("the generator network is missing")
                case "no numbers":
                    return craft(self, data, budget, ctx) * float("nan")
                case "another shape":
                    return craft(self, data, budget, ctx)[:, :1]
                case "leaves the budget":
                    return (data.x + 0.5) % 1
                case "ends Python":
                    raise SystemExit(3)
                case "dies":
                    os.kill(os.getpid(), signal.SIGKILL)
            signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)  # as if most of --stage-limit were over
            while True:
                try:
                    time.sleep(60)
                except ValueError:
                    if random.random() < 0.3:
                        raise

        kind.craft = misbehave  # type: ignore[method-assign]
