"""What another process of a run is told: the resolved experiment, and where and how it works on it."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from bench.contracts.plugin_files import attach_again, attached
from bench.core.disk import make_folder, write_atomically, writing
from bench.core.errors import SepbenchError
from bench.plan.make import plan_experiment
from bench.plan.plan import Plan
from bench.run.executors.executor import Workplace
from bench.spec.experiment import Experiment
from bench.store.home import Home


class Assignment(BaseModel):
    """A run as a file, for a process that shares its home.

    Attributes
    ----------
    experiment
        As `Experiment.resolved` writes it.
    cells
        Identities of the cells that are asked for, None for all.
    device
        Name of the device that it works on.
    tell
        Whether MLflow gets the reports, which this process leaves for the one that began the run.
    seconds, stage_seconds
        How long it may work, and how long on each stage; None without limit.
    plugins
        Digests of the files whose plug-ins are known besides, by their paths.

    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    experiment: dict[str, Any]
    cells: list[str] | None
    device: str
    compile: bool
    tell: bool
    seconds: float | None
    stage_seconds: float | None = None
    plugins: dict[str, str] = {}

    @classmethod
    def of(cls, plan: Plan, place: Workplace, device: torch.device) -> "Assignment":
        """Return the assignment to help with a plan on a device."""
        all_of_them = len(plan.cells) == len(plan.experiment.cells())
        return cls(
            experiment=plan.experiment.resolved(),
            cells=None if all_of_them else [planned.cell.identity() for planned in plan.cells],
            device=str(device),
            compile=place.compile,
            tell=place.tell,
            seconds=place.stop.seconds_left,
            stage_seconds=place.stop.stage_limit,
            plugins=attached(),
        )

    @contextmanager
    def handed_over(self, home: Home) -> Iterator[Path]:
        """Yield a file that holds this until the end of the block; raises `DiskError` where none can be written."""
        # In containers that share a home, process numbers repeat.
        file = home.logs / f"job-{os.getpid()}-{secrets.token_hex(4)}.json"
        with writing(home.logs):
            make_folder(home.logs)
            write_atomically(file, f"{self.model_dump_json(indent=1)}\n".encode(), durable=False)
        try:
            yield file
        finally:
            file.unlink(missing_ok=True)

    @classmethod
    def read(cls, file: Path) -> "Assignment":
        """Read what `handed_over` wrote; raises `SepbenchError` for anything else."""
        try:
            return cls.model_validate_json(file.read_bytes())
        except (OSError, ValidationError) as error:
            raise SepbenchError(f"{file} is no assignment of a run: run --jobs writes them, use that") from error

    def plan(self, home: Home) -> Plan:
        """Return the plan of what is asked for."""
        attach_again(self.plugins)
        wanted = None if self.cells is None else set(self.cells)
        experiment = Experiment.model_validate(self.experiment)
        return plan_experiment(experiment, home.cards, lambda cell: wanted is None or cell.identity() in wanted)
