"""What a home has of an experiment, written to files that another home takes in."""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from bench import __version__
from bench.core.disk import make_folder, writing
from bench.core.errors import SepbenchError
from bench.data.images import Splits
from bench.data.loading import load_planned
from bench.flows.carried import Carried, CarriedFile, Catalogue, alike, in_order
from bench.plan.checkpoints import names_of
from bench.plan.plan import Plan
from bench.plan.stage import CraftJob, Kind, Stage
from bench.read.damage import undamaged
from bench.record.provenance import machine_name
from bench.store import lock
from bench.store.artifacts import LEFT_OUT, CorruptArtifact
from bench.store.home import Home
from bench.store.packing import NotPacked, blocks_of, without_last_bits
from bench.store.rounding import ROUNDED
from bench.store.state_files import SMALLEST_LIMIT, SUFFIX, StateWriter

PARTS = ("protected", "checkpoints", "drafts")
"""What may stay behind."""


@dataclass(frozen=True)
class CarriedWork:
    """The work on one stage: what it is called, its bytes in the home, and what it adds to the files."""

    kind: Kind
    label: str
    bytes: int
    packed: int


@dataclass(frozen=True)
class ExportedState:
    """What an export has come to: its files, what is in them, and sentences on what is not."""

    files: list[Path]
    work: list[CarriedWork]
    remarks: list[str]


def export_state(
    plan: Plan,
    home: Home,
    out: Path,
    device: torch.device,
    *,
    bf16: bool = False,
    leave_out: Collection[str] = (),
    limit: int | None = None,
) -> ExportedState:
    """Write finished victims and protected sets, what is left needs of surrogates, and drafts.

    Of a surrogate these are the checkpoints that protected sets still to be crafted take.

    Parameters
    ----------
    out
        A file that ends in .sepstate, or a folder, in which the file is called as the experiment.
    device
        Of this machine: drafts go on where there is one of the same name.
    bf16
        Whether the weights of checkpoints are rounded to bfloat16, for less than half the size. What is crafted from
        them is not what the exact ones give: artifacts and records say so, and drafts of such crafts stay behind.
    leave_out
        What of `PARTS` stays behind.
    limit
        The most bytes of a file; None for one file.

    Raises
    ------
    SepbenchError
        There is nothing to carry, an artifact is damaged, the data set cannot be read, or the disk refuses.

    """
    if limit is not None and limit < SMALLEST_LIMIT:
        raise SepbenchError(f"--file-size: a file takes at least {SMALLEST_LIMIT // 2**20}M")
    path = out if out.suffix == SUFFIX else out / f"{plan.experiment.name}{SUFFIX}"
    packing = _Packing(plan, home, bf16, leave_out)
    if not packing.there():
        raise SepbenchError(f"{home.root} has nothing of {plan.experiment.name} to carry: run it first")
    with writing(path.parent, "--out"):
        make_folder(path.parent)
        writer = StateWriter(path, limit)
        try:
            carried = [one for stage in in_order(plan) for one in packing.of(stage, writer)]
            files = writer.finish(_catalogue(plan, carried, device).model_dump(mode="json"))
        except BaseException:
            writer.abandon()
            raise
    return ExportedState(files, packing.work, packing.remarks)


def _catalogue(plan: Plan, carried: list[Carried], device: torch.device) -> Catalogue:
    return Catalogue(
        experiment=plan.experiment.resolved(),
        cells=[planned.cell.identity() for planned in plan.cells],
        train_sha256=plan.card.train_sha256,
        test_sha256=plan.card.test_sha256,
        version=__version__,
        torch=torch.__version__,
        device=machine_name(device),
        work=carried,
    )


class _Packing:
    """The work on each stage of a plan, packed as the export asks for it."""

    def __init__(self, plan: Plan, home: Home, bf16: bool, leave_out: Collection[str]) -> None:
        self._plan, self._home, self._store = plan, home, home.store
        self._bf16, self._leave_out = bf16, leave_out
        self._left = {stage.key: stage for stage in plan.todo(home.store)}
        self.work: list[CarriedWork] = []
        self.remarks: list[str] = []

    def there(self) -> bool:
        """Tell whether the home has anything of the plan."""
        stages = self._plan.stages.values()
        return any(self._store.has(one.kind, one.key) or self._store.draft(one.kind, one.key).names() for one in stages)

    def of(self, stage: Stage, writer: StateWriter) -> Iterator[Carried]:
        """Yield what there is of a stage and is to be carried."""
        if self._store.has(stage.kind, stage.key):
            with undamaged():
                yield from self._artifact(stage, writer)
        elif stage.key in self._left and "drafts" not in self._leave_out:
            yield from self._draft(stage, writer)

    def _artifact(self, stage: Stage, writer: StateWriter) -> Iterator[Carried]:
        meta, names = self._store.meta(stage.kind, stage.key), self._store.names(stage.kind, stage.key)
        if stage.kind == "craft" and "protected" in self._leave_out:
            return
        if stage.kind == "surrogate":
            if "checkpoints" in self._leave_out:
                return
            needed = self._needed(stage)
            if not needed:
                self.remarks.append(f"{stage.label} stays behind: nothing is left to craft from it")
                return
            if not needed <= set(names):
                self.remarks.append(f"{stage.label} was kept without checkpoints that are needed: left out")
                return
            if needed < set(names) or LEFT_OUT in meta:
                meta |= {LEFT_OUT: sorted({*names, *meta.get(LEFT_OUT, [])} - needed)}
            if self._bf16:
                meta |= {ROUNDED: "bf16"}
            names = sorted(needed)

        def read(name: str) -> bytes:
            data = self._store.data(stage.kind, stage.key, name)
            return without_last_bits(data) if stage.kind == "surrogate" and self._bf16 else data

        yield self._packed(stage, meta, dict.fromkeys(names), read, writer)

    def _needed(self, surrogate: Stage) -> set[str]:
        """Return the names of the checkpoints that protected sets still to be crafted take."""
        crafts = [one.job for one in self._left.values() if isinstance(one.job, CraftJob)]
        parts = [part for job in crafts for part in job.checkpoints if part.surrogate == surrogate.key]
        return {name for part in parts for name in names_of(part, self._store)}

    def _draft(self, stage: Stage, writer: StateWriter) -> Iterator[Carried]:
        held = lock.acquire(self._home.locks, stage.key)
        if held is None:
            holder = lock.owner(self._home.locks, stage.key) or "another process"
            self.remarks.append(f"{stage.label} is being worked on by {holder}: what it has so far is left out")
            return
        with held:
            draft = self._store.draft(stage.kind, stage.key)
            infos = {name: draft.info(name) for name in draft.names()}
            if not infos:
                return
            if self._bf16 and isinstance(stage.job, CraftJob) and stage.job.checkpoints:
                self.remarks.append(
                    f"{stage.label} is under way from exact checkpoints, and goes on from no others: left out; "
                    f"without --bf16 it is carried"
                )
                return
            yield self._packed(stage, None, infos, draft.data, writer)

    def _packed(
        self,
        stage: Stage,
        meta: dict[str, Any] | None,
        infos: Mapping[str, dict[str, Any] | None],
        read: Callable[[str], bytes],
        writer: StateWriter,
    ) -> Carried:
        before, size, files = sum(piece.packed for piece in writer.pieces), 0, {}
        for name, info in infos.items():
            like = alike(stage, name, self._splits) if isinstance(stage.job, CraftJob) else {}
            try:
                data = read(name)
                pieces = [writer.add(block) for block in blocks_of(data, like)]
            except NotPacked as error:
                raise CorruptArtifact(stage.kind, stage.key, f"{name}.safetensors: {error}") from error
            digest = hashlib.sha256(data).hexdigest()
            files[name] = CarriedFile(size=len(data), sha256=digest, pieces=pieces, info=info)
            size += len(data)
        added = sum(piece.packed for piece in writer.pieces) - before
        what = stage.label if meta is not None else f"{stage.label}, under way"
        self.work.append(CarriedWork(stage.kind, what, size, added))
        return Carried(kind=stage.kind, key=stage.key, label=stage.label, meta=meta, files=files)

    @cached_property
    def _splits(self) -> Splits:
        experiment = self._plan.experiment
        return load_planned(experiment.dataset.located(), self._plan.card, self._home.cards, experiment.added_images)
