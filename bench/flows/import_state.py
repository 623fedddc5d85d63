"""What another home had of an experiment, taken into this one."""

import hashlib
import shlex
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from pydantic import ValidationError

from bench import __version__
from bench.core.disk import free_bytes, writing
from bench.core.errors import SepbenchError
from bench.core.outside import memory
from bench.core.validation import describe, first_mistake
from bench.data.images import ImageSet, Splits
from bench.data.loading import load_planned
from bench.flows.carried import Carried, CarriedFile, Catalogue, alike
from bench.flows.same_images import check_same_images
from bench.plan.make import plan_experiment
from bench.plan.stage import CraftJob, Kind
from bench.record.provenance import machine_name
from bench.spec.experiment import Experiment
from bench.spec.file import counted, experiment_names, with_overrides
from bench.store import lock
from bench.store.artifacts import Store
from bench.store.home import Home
from bench.store.packing import NotPacked, restored
from bench.store.state_files import StateFiles, damaged


@dataclass(frozen=True)
class Brought:
    """The work on one stage, and what came of it here."""

    kind: Kind
    label: str
    what: str


class Incoming:
    """State files that fit this home: `plan` is of what they carry, `brought` takes it in.

    Parameters
    ----------
    device
        Of this machine: drafts are taken only from one of the same name, with the same torch.
    places
        `dataset.FIELD=VALUE`, where the data set lies here.

    Raises
    ------
    SepbenchError
        A file is damaged or missing, the data set is not here or is another one, a stage has another key here, or there
        is no room. Nothing was taken in then.

    """

    def __init__(self, files: StateFiles, home: Home, device: torch.device, places: Sequence[str] = ()) -> None:
        self._files, self._home, self._device = files, home, device
        first = files.paths[0]
        if wrong := counted(places):
            raise SepbenchError(f"--set {wrong[0]}: import takes only where the data lies, as in dataset.root=PATH")
        files.check()
        try:
            self._catalogue = Catalogue.model_validate(files.catalogue)
            experiment = Experiment.model_validate(with_overrides(self._catalogue.experiment, places))
        except SepbenchError:
            raise
        except ValidationError as error:
            raise SepbenchError(
                f"{first} carries an experiment that cannot be read here: {describe(first_mistake(error), [])}"
            ) from error
        wanted = set(self._catalogue.cells)
        self.plan = plan_experiment(experiment, home.cards, lambda cell: cell.identity() in wanted)
        self._check_fit(first)
        self._check_room()

    def brought(self) -> Iterator[Brought]:
        """Take in the work on each stage that is not here, and yield what came of it; any may be the last."""
        folder = self._home.incoming
        held = lock.acquire(self._home.locks, "incoming")
        if held is None:
            raise SepbenchError(f"another import into {self._home.root} is under way: wait until it has ended")
        with held, writing(folder):
            try:
                shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
                for one in self._catalogue.work:
                    yield self._taken(one, Store(folder))
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def command(self) -> str:
        """Return what goes on with what was brought."""
        experiment = self.plan.experiment
        name = experiment.name if experiment.name in experiment_names() else f"{experiment.name}.yaml"
        profile = [] if experiment.profile is None else ["--profile", experiment.profile]
        changes = [word for change in experiment.overrides for word in ("--set", change)]
        return shlex.join(["sepbench", "run", name, *profile, *changes])

    def _check_fit(self, first: Path) -> None:
        told = self._catalogue
        check_same_images(first, self.plan.experiment.dataset.name, told.train_sha256, told.test_sha256, self.plan.card)
        pieces = self._files.pieces
        for one in told.work:
            stage = self.plan.stages.get(one.key)
            if stage is None or stage.kind != one.kind:
                raise SepbenchError(
                    f"{one.label} in {first} is another result than here: a method, a network, or sepbench itself "
                    f"({told.version} there, {__version__} here) has another version: import it where they are the same"
                )
            for name, file in one.files.items():
                if any(number not in range(len(pieces)) for number in file.pieces) or file.size != sum(
                    pieces[number].size for number in file.pieces
                ):
                    raise SepbenchError(damaged(first, f"{one.label}, {name}, has other pieces than it says"))

    def _check_room(self) -> None:
        needed = sum(file.size for one in self._catalogue.work for file in one.files.values())
        free = free_bytes(self._home.root)
        if needed > free:
            raise SepbenchError(
                f"it takes {needed / 2**30:.2f} GiB, and the disk of {self._home.root} has {free / 2**30:.2f} GiB "
                f"left: free some space, or set SEPBENCH_HOME to another folder"
            )
        largest = max((file.size for one in self._catalogue.work for file in one.files.values()), default=0)
        if largest > memory() // 2:
            raise SepbenchError(
                f"a file of {largest / 2**30:.1f} GiB in it is more than half of this machine's memory: bring it to a "
                f"larger machine"
            )

    def _taken(self, one: Carried, making: Store) -> Brought:
        return Brought(one.kind, one.label, self._what(one, making))

    def _what(self, one: Carried, making: Store) -> str:
        store = self._home.store
        other = self._other_machine() if one.meta is None else None
        if store.has(one.kind, one.key):
            return "is here already"
        if other is not None:
            return f"is left out: it was under way {other}"
        held = lock.acquire(self._home.locks, one.key)
        if held is None:
            holder = lock.owner(self._home.locks, one.key) or "another process"
            return f"is left out: {holder} is at work on it"
        with held:
            if one.meta is None and store.draft(one.kind, one.key).names():
                return "is under way here already"
            draft = making.draft(one.kind, one.key)
            for name, file in one.files.items():
                draft.put_data(name, self._data(one, name, file), file.info or {})
            if one.meta is None:
                store.adopt_draft(one.kind, one.key, making)
                return "goes on from where it was"
            draft.commit(one.meta, keep=list(one.files))
            self._check_images(one, making)
            store.adopt(one.kind, one.key, making)
            return "is brought"

    def _data(self, one: Carried, name: str, file: CarriedFile) -> bytes:
        stage = self.plan.stages[one.key]
        like = alike(stage, name, self._splits) if isinstance(stage.job, CraftJob) else {}
        blocks = b"".join(self._files.block(number) for number in file.pieces)
        try:
            data = restored(blocks, like)
        except NotPacked as error:
            raise SepbenchError(damaged(self._files.paths[0], f"{one.label}, {name}: {error}")) from error
        if hashlib.sha256(data).hexdigest() != file.sha256:
            raise SepbenchError(damaged(self._files.paths[0], f"{one.label}, {name}, does not match its digest"))
        return data

    def _check_images(self, one: Carried, making: Store) -> None:
        """Raise `SepbenchError` where a protected set is not the one that its audit is of."""
        if one.kind != "craft" or one.meta is None:
            return
        tensors = making.tensors("craft", one.key, "protected")
        images = ImageSet(tensors["images"], tensors["labels"], self.plan.card.classes)
        if images.sha256 != one.meta.get("sha256"):
            raise SepbenchError(damaged(self._files.paths[0], f"{one.label} holds other images than it says"))

    def _other_machine(self) -> str | None:
        told = self._catalogue
        here = (told.torch, told.device) == (torch.__version__, machine_name(self._device))
        return None if here else f"with torch {told.torch} on {told.device}, which round otherwise than what is here"

    @cached_property
    def _splits(self) -> Splits:
        experiment = self.plan.experiment
        return load_planned(experiment.dataset.located(), self.plan.card, self._home.cards, experiment.added_images)
