"""From the end of a stage to its record, in a file, and to its report, in MLflow."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from bench.core.disk import make_folder, write_atomically, writing
from bench.plan.estimate import note_pace
from bench.plan.plan import Plan, PlannedCell
from bench.plan.plugin_sources import as_recorded, sources_of_cell
from bench.plan.stage import Stage, StageResult
from bench.record.provenance import provenance
from bench.record.record import Record
from bench.record.tracking import NullTracker, Tracker
from bench.run.stage_report import stage_report
from bench.store import lock
from bench.store.home import Home

_AUDITED = ("linf_levels", "l2", "l0", "psnr", "ssim")


class Recorder:
    """Keeps the records of one plan's cells, here and in the home, and reports stages to MLflow.

    `doubts` are sentences on methods whose promises did not hold when the run had a second look at them.
    """

    def __init__(self, plan: Plan, home: Home, tracker: Tracker | NullTracker, device: torch.device) -> None:
        self._plan, self._home, self._tracker, self._device = plan, home, tracker, device
        self._folder = home.records(plan.experiment.name, plan.experiment.variant)
        self._records: dict[str, Record] = {}
        self.doubts: list[str] = []

    @property
    def records(self) -> list[Record]:
        """The records so far, in the order of the plan's cells."""
        return [self._records[one.victim] for one in self._plan.cells if one.victim in self._records]

    def recall(self, unfinished: set[str]) -> list[Stage]:
        """Take in the victims that were finished before; return the stages of those without a record of their own."""
        unrecorded = []
        for planned in self._plan.cells:
            if planned.victim not in unfinished:
                made = record(self._plan, planned, self._home.store.meta("victim", planned.victim))
                self._records[planned.victim] = made
                if not self._is_recorded(made):
                    unrecorded.append(self._plan.stages[planned.victim])
        return unrecorded

    def take(self, result: StageResult) -> None:
        """Record and report a stage that ended; where another process ran it, what that has not done of this."""
        planned = self._plan.cell_of.get(result.stage.key)
        made = None if planned is None else self._record(planned, result)
        if made is not None:
            self._records[made.key] = made
        if result.meta is not None and result.meta.get("doubt") not in (None, *self.doubts):
            self.doubts.append(result.meta["doubt"])
        if result.meta is not None and not result.elsewhere:
            seconds = result.ended - result.started
            note_pace(self._plan, result.stage, result.meta, seconds, self._device, self._home.paces)
        # Who runs a stage reports it, or leaves the report to be sent by the first process that has MLflow.
        told = self._tracker.forward(result.stage.kind, result.stage.key) and result.elsewhere
        if result.elsewhere and (made is None or self._is_recorded(made)):
            return
        # In this order: a victim whose process is killed in between has no record yet, and is reported by the next run.
        if not told:
            self._tracker.stage(stage_report(self._plan, result, planned, made))
        if made is not None:
            with writing(self._folder):
                make_folder(self._folder)
                write_atomically(self._folder / f"{made.key}.json", made.to_json().encode())

    def pending(self) -> list[Stage]:
        """Return the stages of which reports wait that other processes, or earlier ones, have left."""
        waiting = self._tracker.waiting(self._plan.experiment.name)
        return [stage for stage in self._plan.stages.values() if stage.key in waiting] if waiting else []

    def forward(self) -> None:
        """Send the pending reports: attempts that failed elsewhere, what killed processes left."""
        for stage in self.pending():
            held = lock.acquire(self._home.locks, stage.key)
            if held is not None:  # else its holder tells of it, or the next run does
                with held:
                    self._tracker.forward(stage.kind, stage.key)

    def _record(self, planned: PlannedCell, result: StageResult) -> Record:
        if result.meta is None:
            return failed_record(self._plan, planned, result.reason or "no reason given", self._device)
        return record(self._plan, planned, result.meta)

    def _is_recorded(self, made: Record) -> bool:
        path: Path = self._folder / f"{made.key}.json"
        return path.is_file() and path.read_bytes() == made.to_json().encode()


def record(plan: Plan, planned: PlannedCell, meta: Mapping[str, Any]) -> Record:
    """Return the record of a finished victim from the meta data of its artifact."""
    protected = meta["protected"]
    identity = _identity(plan, planned)
    return Record.model_validate(
        {
            **identity,
            **meta["outcome"],
            **{field: protected["audit"][field] for field in _AUDITED},
            **meta["provenance"],
            "deterministic": meta["provenance"]["deterministic"] and protected.get("reproducible", True),
            "compiled": meta["history"].get("compiled", False),
            "rounded_checkpoints": protected.get("rounded_checkpoints", False),
            "crafted_on": None if identity["brought"] else protected.get("crafted_on"),
            "plugins": as_recorded(meta.get("sources", {}), planned),
            "status": "done",
            "test_acc_per_class": tuple(meta["outcome"]["test_acc_per_class"]),
            "protected_sha256": protected["sha256"],
            "craft_passes": protected["passes"],
            "craft_seconds": protected["seconds"],
            "surrogate_seconds": protected["upstream_seconds"],
            "train_seconds": meta["seconds"],
            "peak_memory_mb": meta["peak_memory_mb"],
        }
    )


def failed_record(plan: Plan, planned: PlannedCell, reason: str, device: torch.device) -> Record:
    """Return the record of a cell that failed, or whose surrogate or protected set did."""
    origin = provenance(device, plan.experiment.recipe.precision)
    return Record.model_validate(
        {
            **_identity(plan, planned),
            **origin,
            "plugins": as_recorded(sources_of_cell(plan, planned), planned),
            "status": "failed",
            "reason": reason,
        }
    )


def _identity(plan: Plan, planned: PlannedCell) -> dict[str, Any]:
    experiment, clean = plan.experiment, planned.cell.clean_images
    return {
        "key": planned.victim,
        "experiment": experiment.name,
        "profile": experiment.profile,
        "overrides": experiment.overrides,
        "recipe": experiment.recipe.name,
        "dataset": experiment.dataset.name,
        "method_params": planned.cell.method.known_params(),
        "brought": planned.cell.method.build().brought is not None,
        **planned.cell.fields(),
        "surrogate_keys": planned.surrogates,
        "protected_key": planned.craft,
        "train_sha256": plan.card.train_sha256,
        "test_sha256": plan.card.test_sha256,
        "protected_classes": plan.card.protected_classes,
        "classes": plan.card.classes,
        "n_train": plan.card.n_train,
        "train_per_class": plan.card.train_per_class,
        "test_per_class": plan.card.test_per_class,
        "n_test_in_train": plan.card.n_test_in_extra[clean] if clean else plan.card.n_test_in_train,
    }
