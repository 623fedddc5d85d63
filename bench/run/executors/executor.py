"""What an executor promises, and the executors there are."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from importlib import import_module
from typing import ClassVar, Protocol

import torch

from bench.core.registry import UnknownName
from bench.plan.plan import Plan
from bench.plan.stage import Stage, StageResult
from bench.run.stopping import Stop
from bench.store.home import Home


class Watcher(Protocol):
    """Who is told how the run goes."""

    def started(self, stage: Stage) -> None:
        """A stage begins."""

    def progress(self, fraction: float) -> None:
        """The stage that runs is done to this fraction."""

    def ended(self, result: StageResult) -> None:
        """A stage ended."""

    def waiting(self, owner: str) -> None:
        """All that is left is being worked on by another process."""


@dataclass(frozen=True)
class Workplace:
    """Where the stages of one invocation run, and who hears of it.

    Attributes
    ----------
    jobs
        How many processes share the device.
    compile
        Whether networks train with torch.compile.
    tell
        Whether MLflow gets the reports of stages.
    stop
        Asked at every safe point, where everything done so far has been saved.

    """

    home: Home
    device: torch.device
    watcher: Watcher
    stop: Stop
    jobs: int = 1
    compile: bool = False
    tell: bool = True


class Executor(Protocol):
    """Runs stages somewhere."""

    name: ClassVar[str]

    def execute(self, plan: Plan, todo: list[Stage], place: Workplace) -> Generator[StageResult, None, None]:
        """Run stages in an order in which each finds its inputs, and yield each when it has ended.

        A stage that fails takes along only those that read its artifact. What is yielded is the caller's alone until
        the next is asked for: it closes the generator where it asks for no more.

        Raises
        ------
        Stopped
            `place.stop` asked for it.
        SepbenchError
            The data set cannot be read, or the disk cannot be written to.

        """


_MODULES = {"local": "bench.run.executors.local:Local"}
"""Imported when chosen: an executor may need a library that not everybody has installed."""


def choose_executor(name: str) -> Executor:
    """Return the executor of this name; raises `UnknownName` for any other."""
    if name not in _MODULES:
        raise UnknownName("executor", name, _MODULES)
    module, _, attribute = _MODULES[name].partition(":")
    kind: Callable[[], Executor] = getattr(import_module(module), attribute)
    return kind()
