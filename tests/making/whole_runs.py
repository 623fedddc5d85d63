"""sepbench in processes of its own, in homes of its own."""

import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from bench.record.record import Record, read_records
from bench.store.artifacts import Store
from tests.making.alterations import Alteration, take_notes
from tests.making.experiments import LEARNING, SEP
from tests.making.forks import FORKS
from tests.making.process_notes import Event, Notes

KINDS = ("surrogate", "craft", "victim")

_COSTS = ("craft_seconds", "surrogate_seconds", "train_seconds", "peak_memory_mb")
_ORIGIN = ("started", "git_sha", "dirty")
_PATIENCE_SECONDS = 120


@dataclass(frozen=True)
class Ended:
    """A process that ended; `code` is negative for a signal that killed it."""

    code: int
    out: str
    err: str
    events: list[Event]

    @property
    def table(self) -> str:
        """The table that `run` printed."""
        return self.out.partition("MLflow:")[0].strip()

    @property
    def complaints(self) -> list[str]:
        """The sentences on standard error that are for the person, progress left out."""
        lines = self.err.splitlines()
        # A stage that takes half a minute, on a busy machine, says how far it is, and who waits that long for what.
        return [
            line for line in lines if not line.startswith(("[", "waiting for ")) and not line.endswith("left in all")
        ]

    @property
    def ran(self) -> list[str]:
        """The labels of the stages that this process worked on."""
        return [event.label for event in self.events if event.what == "started"]

    def progress(self, label: str) -> list[float]:
        """Return how the stage whose label starts so advanced in this process."""
        return [event.fraction for event in self.events if event.what == "progress" and event.label.startswith(label)]


class Running:
    """A process that may still run."""

    def __init__(self, process: Any, folder: Path) -> None:
        self._process, self._folder = process, folder
        self.notes = Notes(folder)

    def wait_for(self, *what: str) -> None:
        """Wait until one of these events was noted; fails where the process ends before."""
        limit = time.monotonic() + _PATIENCE_SECONDS
        alive = True
        while not any(event.what in what for event in self.notes.read()):
            assert alive, f"it ended without {what}: {self._read('err')}"
            assert time.monotonic() < limit, f"it came to no {what}: {self._read('err')}"
            time.sleep(0.01)
            alive = self._process.is_alive()

    @property
    def pid(self) -> int:
        """Its number."""
        return int(self._process.pid)

    def is_alive(self) -> bool:
        """Tell whether it runs."""
        return bool(self._process.is_alive())

    def send(self, number: int) -> None:
        """Send a signal."""
        os.kill(self._process.pid, number)

    def kill(self) -> Ended:
        """End it by `kill -9`."""
        self.send(signal.SIGKILL)
        finished = self.finish()
        assert finished.code == -signal.SIGKILL
        return finished

    def finish(self) -> Ended:
        """Let it go on where it is held, and wait until it has ended."""
        self.notes.let_go()
        self._process.join(_PATIENCE_SECONDS)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        code = self._process.exitcode
        assert code is not None
        return Ended(code, self._read("out"), self._read("err"), self.notes.read())

    def _read(self, name: str) -> str:
        return (self._folder / name).read_text()


class Sepbench:
    """The command, in one home below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self._processes = 0

    @property
    def store(self) -> Store:
        return Store(self.home / "store")

    def experiment(self, **changes: Any) -> str:
        """Write the tiny experiment, with changed fields, to a file and return its path."""
        content = {**LEARNING, **changes}
        path = self.folder / f"{content['name']}.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return str(path)

    def start(
        self, *arguments: str, alter: Sequence[Alteration] = (), environment: Mapping[str, str] | None = None
    ) -> Running:
        """Start a command in a process of its own."""
        self._processes += 1
        folder = self.folder / f"process-{self._processes}"
        folder.mkdir()
        variables = {**os.environ, "SEPBENCH_HOME": str(self.home), "CUDA_VISIBLE_DEVICES": "", **(environment or {})}
        process = FORKS.Process(target=_main, args=(arguments, variables, folder, (take_notes, *alter)))
        process.start()
        return Running(process, folder)

    def call(
        self, *arguments: str, alter: Sequence[Alteration] = (), environment: Mapping[str, str] | None = None
    ) -> Ended:
        """Run a command to its end."""
        return self.start(*arguments, alter=alter, environment=environment).finish()

    def run(self, *options: str, alter: Sequence[Alteration] = (), **changes: Any) -> Ended:
        """Run the tiny experiment, with changed fields, without MLflow."""
        return self.call("run", self.experiment(**changes), "--no-mlflow", *options, alter=alter)

    def records(self, experiment: str = "tiny") -> dict[str, Record]:
        """Return the experiment's records by their keys."""
        return {one.key: one for one in read_records(self.home / "records" / experiment)}

    def outcomes(self, experiment: str = "tiny") -> dict[str, dict[str, Any]]:
        """Return by key all that a record and the curves of its victim say, but for times and commits."""
        return {
            key: {
                **one.model_dump(exclude={*_COSTS, *_ORIGIN}),
                "curves": {**self.store.meta("victim", key)["history"], "seconds": None},
            }
            for key, one in self.records(experiment).items()
        }

    def files(self) -> dict[str, tuple[int, int]]:
        """Return inode and time of change of every file of every finished artifact."""
        found = (path for kind in KINDS for path in (self.home / "store" / kind).rglob("*"))
        return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in found if path.is_file()}

    def tensors(self) -> dict[str, bytes]:
        """Return the bytes of every tensor file of every finished artifact, by stage, key and name."""
        found = ((path.parts[-3], path.name) for kind in KINDS for path in (self.home / "store" / kind).glob("*/*"))
        return {
            f"{kind} {key} {name}": (self.store.folder(kind, key) / f"{name}.safetensors").read_bytes()
            for kind, key in found
            for name in self.store.names(kind, key)
        }

    def half_written(self) -> list[Path]:
        """Return the files that a write left unfinished."""
        return list(self.home.rglob("*.tmp"))

    def logged(self, query: str) -> list[tuple[Any, ...]]:
        """Ask MLflow's database, without MLflow."""
        with closing(sqlite3.connect(self.home / "mlflow.db")) as database:
            return database.execute(query).fetchall()

    def copy(self, folder: Path) -> "Sepbench":
        """Return a home of its own that holds the same."""
        copied = Sepbench(folder)
        shutil.copytree(self.home, copied.home)
        return copied


@dataclass(frozen=True)
class Undisturbed:
    """What the tiny experiment comes to where nothing happens to it; `home` is left as it is.

    `keys` are those of the stages, by their labels.
    """

    home: Sepbench
    table: str
    outcomes: dict[str, dict[str, Any]]
    keys: dict[str, str]

    def before(self, label: str, folder: Path) -> Sepbench:
        """Return a home where a run without MLflow has come to the stage of sep whose label starts so."""
        copied = Sepbench(folder)
        copied.home.mkdir()
        for name in ("cards", "records", "store"):
            shutil.copytree(self.home.home / name, copied.home / name)
        (first,) = (number for number, one in enumerate(SEP) if one.startswith(label))
        for one in SEP[first:]:
            shutil.rmtree(copied.store.folder(one.split()[0], self.keys[one]))
        (record,) = copied.home.rglob(f"records/**/{self.keys[SEP[-1]]}.json")
        record.unlink()
        return copied


Before = Callable[[str], Sepbench]
"""Gives the command where the tiny experiment has come to a stage of sep, whose label starts so."""


def _main(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path, alterations: Sequence[Alteration]
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    torch.set_num_threads(1)
    for descriptor, name in ((1, "out"), (2, "err")):
        with (folder / name).open("wb") as file:
            os.dup2(file.fileno(), descriptor)
    os.fsync = lambda fd: None  # what only a power cut would tell
    notes = Notes(folder)
    for alter in alterations:
        alter(notes)
    from bench.cli.app import main

    main(arguments)
