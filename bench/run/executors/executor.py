"""What an executor promises, and the executors there are."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import ClassVar, Protocol

import torch

from bench.core.errors import SepbenchError
from bench.core.registry import UnknownName
from bench.plan.plan import Plan
from bench.plan.stage import Stage, StageResult
from bench.run.stopping import Stop
from bench.store.home import Home


class Watcher(Protocol):
    """Who is told how the run goes."""

    def started(self, stage: Stage) -> None:
        """A stage begins, or this process begins to take part in it."""

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
    device
        Of this process.
    further
        A device for each further process, which shares the work; several may have the same.
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
    further: tuple[torch.device, ...] = ()
    compile: bool = False
    tell: bool = True


class Executor(Protocol):
    """Runs stages somewhere."""

    name: ClassVar[str]

    def devices(self, names: str, jobs: int) -> Sequence[torch.device]:
        """Return a device for each process of this machine that takes part, the first of which is this one.

        Parameters
        ----------
        names
            As somebody wrote them, see `choose_devices`.
        jobs
            How many processes share each device.

        Raises
        ------
        SepbenchError
            The executor has no such devices.

        """

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


_MODULES = {"local": "bench.run.executors.local:Local", "ray": "bench.run.executors.on_ray:OnRay"}
"""Imported when chosen: an executor may need a library that not everybody has installed."""


def choose_executor(name: str, address: str | None = None) -> Executor:
    """Return the executor of this name, for the cluster at `address`.

    Raises
    ------
    UnknownName
        There is no executor of this name.
    SepbenchError
        It has no addresses, or needs a library that is not installed.

    """
    if name not in _MODULES:
        raise UnknownName("executor", name, _MODULES)
    if name == "local" and address is not None:
        raise SepbenchError(f"--address {address} is of a cluster: add --executor ray")
    module, _, attribute = _MODULES[name].partition(":")
    kind: Callable[..., Executor] = getattr(import_module(module), attribute)
    return kind() if address is None else kind(address)
