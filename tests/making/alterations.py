"""What a process under test does besides running sepbench: it takes notes, waits where it is told to, breaks down.

An alteration is called with the process's `Notes` before the command runs, in that process only.
"""

import errno
import os
import pickle
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.making.forked_worker import ForkedWorker
from tests.making.process_notes import Event, Notes

Alteration = Callable[[Notes], None]


class Watched:
    """A display of progress that also takes notes."""

    def __init__(self, display: Any, notes: Notes) -> None:
        self._display, self._notes = display, notes
        self._stage: Any = None

    def started(self, stage: Any) -> None:
        self._display.started(stage)
        self._stage = stage
        self._notes.take(Event("started", stage.label, stage.key))

    def progress(self, fraction: float) -> None:
        self._display.progress(fraction)
        self._notes.take(Event("progress", self._stage.label, self._stage.key, fraction))

    def ended(self, result: Any) -> None:
        self._display.ended(result)
        self._notes.take(Event("ended", result.stage.label, result.stage.key))

    def waiting(self, owner: str) -> None:
        self._display.waiting(owner)
        self._notes.take(Event("waiting", owner))

    def close(self) -> None:
        self._display.close()


def take_notes(notes: Notes) -> None:
    """Note every stage that starts, its progress, its end, when a stop is asked for, and when data is decoded."""
    import bench.data.loading
    from bench.run import progress
    from bench.run.stopping import Stop

    choose, load = progress.choose_progress, bench.data.loading.load

    def load_and_note(spec: Any, extra: Any = ()) -> Any:
        notes.take(Event("decoded", spec.name))
        return load(spec, extra)

    progress.choose_progress = lambda todo, estimate: Watched(choose(todo, estimate), notes)  # type: ignore[assignment,return-value]
    bench.data.loading.load = load_and_note

    initialise = Stop.__init__

    def initialise_and_note(self: Stop, *arguments: Any) -> None:
        initialise(self, *arguments)
        self.when_asked.append(lambda: notes.take(Event("asked")))

    Stop.__init__ = initialise_and_note  # type: ignore[assignment, method-assign]


@dataclass(frozen=True)
class in_workers:  # noqa: N801
    """Do all that in the further processes of --jobs: each takes notes, too, in the folder of its number below this."""

    folder: Path
    alterations: tuple[Alteration, ...] = ()
    interpreters: bool = False
    """Whether each starts an interpreter, as --jobs does, or is a fork that has imported what takes seconds."""

    def __call__(self, notes: Notes) -> None:
        self.folder.mkdir()
        if not self.interpreters:
            self._fork(notes)
            return
        (self.folder / "alterations").write_bytes(pickle.dumps(self.alterations))
        # Python imports a module of this name before all else.
        (self.folder / "sitecustomize.py").write_text(
            f"from tests.making.alterations import alter_worker; alter_worker({str(self.folder)!r})"
        )
        sys.path.insert(0, str(self.folder))

    def _fork(self, notes: Notes) -> None:
        start = subprocess.Popen

        def prepare() -> None:
            while notes.triggers and not any(event.what == "held" for event in notes.read()):
                time.sleep(0.01)  # an interpreter takes seconds to start, and leaves the first stage to who started it
            own = self.folder / str(os.getpid())
            own.mkdir()
            notes.move(own)
            for alter in self.alterations:
                alter(notes)

        def start_or_fork(command: Any, **options: Any) -> Any:
            if "work" not in command:
                return start(command, **options)
            arguments = command[command.index("bench") + 1 :]
            return ForkedWorker(arguments, stdout=options["stdout"], env=options["env"], prepare=prepare)

        subprocess.Popen = start_or_fork  # type: ignore[assignment, misc]


def alter_worker(folder: str) -> None:
    """Do what `in_workers` left here."""
    own = Path(folder, str(os.getpid()))
    own.mkdir()
    notes = Notes(own)
    for alter in (take_notes, *pickle.loads(Path(folder, "alterations").read_bytes())):
        alter(notes)


@dataclass(frozen=True)
class hold:  # noqa: N801 - reads as an order: hold("surrogate", 0.5)
    """Wait, once, where a stage whose label starts so is done to a fraction, until told to go on or killed.

    Progress is noted once an epoch or a shard has been saved, and before the run may stop there.
    """

    label: str
    fraction: float
    what: str = "progress"

    def __call__(self, notes: Notes) -> None:
        def wait(event: Event) -> None:
            if event.what == self.what and event.label.startswith(self.label) and event.fraction >= self.fraction:
                notes.triggers.remove(wait)
                notes.hold()

        notes.triggers.append(wait)


@dataclass(frozen=True)
class linger:  # noqa: N801
    """Take at least so many seconds over each stage whose label starts so."""

    label: str
    seconds: float

    def __call__(self, notes: Notes) -> None:
        notes.triggers.append(
            lambda event: (
                time.sleep(self.seconds) if event.what == "started" and event.label.startswith(self.label) else None
            )
        )


@dataclass(frozen=True)
class take_a_day_at_its_start:  # noqa: N801
    """Let a day pass, by the clock of --time-limit, where a stage whose label starts so begins."""

    label: str

    def __call__(self, notes: Notes) -> None:
        from bench.run import stopping

        def pass_time(event: Event) -> None:
            if event.what == "started" and event.label.startswith(self.label):
                notes.triggers.remove(pass_time)
                setattr(stopping, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + 86_400))  # noqa: B010

        notes.triggers.append(pass_time)


def save_every_epoch(notes: Notes) -> None:
    """Save the state of a training after each epoch, however short."""
    import bench.engine.training

    bench.engine.training._SAVE_EVERY_SECONDS = -1.0


def keep_every_round(notes: Notes) -> None:
    """Keep the state of a method that trains while it crafts after each round, however short."""
    from bench.run.stages.kept_rounds import KeptRounds

    KeptRounds.due = lambda self: True  # type: ignore[method-assign]


@dataclass(frozen=True)
class shards_of:  # noqa: N801
    """Craft so many images at a time."""

    images: int

    def __call__(self, notes: Notes) -> None:
        from bench.run.stages import shards

        shards.SHARD = self.images


@dataclass(frozen=True)
class killed_at_write:  # noqa: N801
    """End like a killed process at the n-th time that a file is made durable or takes its name."""

    number: int

    def __call__(self, notes: Notes) -> None:
        _count_writes(self.number, partial(os.kill, os.getpid(), signal.SIGKILL))


@dataclass(frozen=True)
class disk_full_from_write:  # noqa: N801
    """Find the disk full from the n-th time on that a file is made durable."""

    number: int

    def __call__(self, notes: Notes) -> None:
        def refuse() -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        _count_writes(self.number, refuse, renames=False)


@dataclass(frozen=True)
class files_of_at_most:  # noqa: N801
    """Write no file larger than so many bytes: what the system does on a disk that is nearly full."""

    size: int

    def __call__(self, notes: Notes) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def hold_before_reporting_a_victim(notes: Notes) -> None:
    """Wait where the first victim that ended is about to be told to the experiment log."""
    from bench.record.tracking import Tracker

    tell = Tracker.stage

    def wait_and_tell(self: Any, report: Any) -> None:
        if report.kind == "victim":
            notes.hold()
        tell(self, report)

    Tracker.stage = wait_and_tell  # type: ignore[method-assign]


def with_many_threads(notes: Notes) -> None:
    """Ask Ray for more cores than there are, and wait for none."""
    import torch

    from bench.run.executors import on_ray

    torch.set_num_threads(64)
    on_ray._PATIENCE_SECONDS = 0.0


@dataclass(frozen=True)
class with_broken_methods:  # noqa: N801
    """Know two methods that fail for as long as the file `broken` is there: `raises` and `leaves-budget`."""

    broken: Path

    def __call__(self, notes: Notes) -> None:
        from bench.api import METHODS, Method

        broken = self.broken
        if "raises" in METHODS:  # as in a fork of a process that knows them
            return

        @METHODS.register("raises")
        class Raises(Method):
            """Fails."""

            def craft(self, data: Any, budget: Any, ctx: Any) -> Any:
                if broken.exists():
                    raise RuntimeError("the generator network is missing")
                return data.x

        @METHODS.register("leaves-budget")
        class LeavesBudget(Method):
            """Changes every pixel by half the range."""

            def craft(self, data: Any, budget: Any, ctx: Any) -> Any:
                return (data.x + 0.5) % 1 if broken.exists() else data.x


def _count_writes(number: int, act: Callable[[], None], *, renames: bool = True) -> None:
    done = 0

    def counted(function: Any) -> Any:
        def call(*arguments: Any) -> Any:
            nonlocal done
            done += 1
            if done >= number:
                act()
            return function(*arguments)

        return call

    os.fsync = counted(os.fsync)
    if renames:
        Path.rename = counted(Path.rename)  # type: ignore[method-assign]
        Path.replace = counted(Path.replace)  # type: ignore[method-assign]
