"""Running the one cell of a record again, and what came out other."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import __version__
from bench.core.disk import make_folder, writing
from bench.core.errors import SepbenchError, Stopped
from bench.core.registry import UnknownName, is_unknown
from bench.flows.carry_out import Means, carry_out
from bench.flows.same_images import check_same_images
from bench.plan.make import plan_experiment
from bench.plan.plan import Plan
from bench.record.record import Record
from bench.spec.cell import Cell
from bench.spec.file import counted, load_experiment
from bench.store.artifacts import CorruptArtifact
from bench.store.home import Home

COMPARED = (
    *("status", "reason", "test_acc", "peak_acc", "train_acc", "relabelled_acc", "test_acc_per_class", "n_test"),
    *("epochs", "linf_levels", "l2", "l0", "psnr", "ssim", "protected_sha256", "train_sha256", "test_sha256"),
)
"""The record fields that are to come out the same: outcome, audit of the released bytes, digests."""


@dataclass(frozen=True)
class Verification:
    """A record, and the one that its cell gave when it was run again.

    `reused` tells that the victim was trained on the protected set that the home has, whose digest is the recorded one;
    else everything was made anew.
    """

    record: Record
    again: Record
    reused: bool

    @property
    def differing(self) -> dict[str, tuple[Any, Any]]:
        """What came out other: recorded, and again."""
        pairs = {name: (getattr(self.record, name), getattr(self.again, name)) for name in COMPARED}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    @property
    def reasons(self) -> list[str]:
        """Why the two may differ, by what the records say of where they were made: clauses without a point."""
        return list(_reasons(self.record, self.again)) or [
            "nothing that they tell: one of them drew from no seed, or a machine computes wrongly, see sepbench doctor "
            "--check"
        ]


def record_named(prefix: str, records: Sequence[Record]) -> Record:
    """Return the record whose key begins so; raises `SepbenchError` where there is none, or several."""
    if len(prefix) < 6:
        raise SepbenchError(f"{prefix} is too short for a key: give six letters of it or more")
    found = [one for one in records if one.key.startswith(prefix)]
    keys = {one.key for one in found}
    if not keys:
        raise SepbenchError(
            f"no record has a key that starts with {prefix}: sepbench table EXPERIMENT --format json lists the keys "
            f"behind a table"
        )
    if len(keys) > 1:
        raise SepbenchError(f"{len(keys)} keys start with {prefix}: give more of it")
    return max(found, key=lambda one: (one.status == "done", one.started))


def plan_again(record: Record, home: Home, file: str | None = None, places: Sequence[str] = ()) -> Plan:
    """Return the plan of the one cell that a record is of.

    Parameters
    ----------
    file
        The file of its experiment, where that did not come with sepbench.
    places
        `dataset.FIELD=VALUE`, where the data set lies.

    Raises
    ------
    SepbenchError
        The experiment is not here, or has no such cell any more; its data is not here, or is other; or the same cell is
        another result here, as something that decides it has changed.

    """
    if record.brought:
        raise SepbenchError(
            f"{record.key[:12]} is of images that somebody brought: judge them again with sepbench evaluate"
        )
    if wrong := counted(places):
        raise SepbenchError(f"--set {wrong[0]}: verify takes only where the data lies, as in dataset.root=PATH")
    try:
        spec = load_experiment(
            file or record.experiment, profile=record.profile, overrides=[*record.overrides, *places]
        )
    except UnknownName as error:
        if file is not None or not is_unknown(error, "experiment", record.experiment):
            raise
        raise SepbenchError(
            f"the experiment '{record.experiment}' did not come with sepbench: name its file with "
            f"--experiment FILE.yaml"
        ) from error
    if not any(_is_of(record, cell) for cell in spec.each_cell()):
        raise SepbenchError(
            f"{spec.name} has no cell like that of {record.key[:12]}: its file has changed since, name the right one "
            f"with --experiment FILE.yaml"
        )
    plan = plan_experiment(spec, home.cards, lambda cell: _is_of(record, cell))
    check_same_images(record.key[:12], record.dataset, record.train_sha256, record.test_sha256, plan.card)
    cells = tuple(one for one in plan.cells if one.victim == record.key)
    if not cells:
        raise SepbenchError(
            f"the cell of {record.key[:12]} is another result here: its experiment, a plug-in or sepbench itself "
            f"({record.version} there, {__version__} here) has changed since: verify it with those it was made with"
        )
    (cell, *_) = cells
    wanted = {*cell.surrogates, cell.craft, cell.victim}
    return replace(plan, cells=(cell,), stages={key: one for key, one in plan.stages.items() if key in wanted})


def verify(record: Record, plan: Plan, source: Home, means: Means, *, from_scratch: bool = False) -> Verification:
    """Run the cell of a record again in the home of `means`, which is not the one it was run in.

    Parameters
    ----------
    plan
        Of that cell alone.
    source
        Where its protected set is taken from, if one with the recorded digest is there.
    from_scratch
        Whether to make surrogates and protected set anew instead.

    Raises
    ------
    Stopped
        It was stopped.
    SepbenchError
        The data set cannot be read, or the disk cannot be written to.

    """
    (cell,) = plan.cells
    reused = not from_scratch and _taken_over(cell.craft, record.protected_sha256, source, means.home)
    summary = carry_out(plan, replace(means, mlflow=False, compile=record.compiled))
    if summary.stopped:
        raise Stopped(summary.stopped)
    return Verification(record, summary.records[0], reused)


@contextmanager
def home_for(folder: Path | None, source: Home) -> Iterator[Home]:
    """Yield the home to verify in: one at `folder`, else one that is removed at the end.

    What `source` knows of data sets is known in it. Raises `SepbenchError` where both are one.
    """
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="sepbench-") as temporary:
            home = Home(Path(temporary), kept=False)
            _take_cards(source, home)
            yield home
        return
    home = Home(folder.absolute())
    if home.root.resolve() == source.root.resolve():
        raise SepbenchError(f"--home {folder} is where the record was made, or may be: name another folder")
    _take_cards(source, home)
    yield home


def _take_cards(source: Home, home: Home) -> None:
    if source.cards.is_dir():
        with writing(home.root, "--home"):
            shutil.copytree(source.cards, home.cards, dirs_exist_ok=True)


def _taken_over(key: str, sha256: str | None, source: Home, home: Home) -> bool:
    """Copy a protected set with this digest from one home to another; tell whether the other has it now."""
    try:
        if not source.store.has("craft", key) or source.store.meta("craft", key)["sha256"] != sha256:
            return False
    except CorruptArtifact:
        return False
    if not home.store.has("craft", key):
        target = home.store.folder("craft", key)
        with writing(home.root, "--home"):
            make_folder(target.parent)
            shutil.copytree(source.store.folder("craft", key), target, dirs_exist_ok=True)
    return True


def _is_of(record: Record, cell: Cell) -> bool:
    told = {"method_params": cell.method.known_params(), **cell.fields()}
    return all(getattr(record, name) == value for name, value in told.items())


def _reasons(record: Record, again: Record) -> Iterator[str]:
    if not record.deterministic:
        yield f"it was made on {record.device}, which rounds differently each time, or by a method that draws anew"
    if record.rounded_checkpoints:
        yield "its protected set was crafted from checkpoints that had been rounded to bfloat16"
    for name, what in (
        ("version", "sepbench"),
        ("git_sha", "commit"),
        ("torch", "torch"),
        ("device", "device"),
        ("precision", "precision"),
        ("compiled", "torch.compile"),
        ("host_cores", "number of cores"),
    ):
        then, now = getattr(record, name), getattr(again, name)
        if then != now:
            yield f"another {what}: {then} there, {now} here"
    if record.dirty or again.dirty:
        yield "files of sepbench had been changed since its commit, there or here"
    if record.plugins != again.plugins:
        yield "a plug-in that did not come with sepbench has another source"
    crafted = record.crafted_on, again.crafted_on
    if None not in crafted and crafted[0] != crafted[1] and record.protected_sha256 != again.protected_sha256:
        yield f"its protected set was crafted on another machine: {crafted[0]} there, {crafted[1]} here"
    if record.device != again.device:
        return
    untold = []
    for name, what, remedy in (
        ("threads", "number of threads", "; OMP_NUM_THREADS fixes it"),
        ("processor", "model of the processor", ", which rounds otherwise"),
    ):
        then, now = getattr(record, name), getattr(again, name)
        if then is None and now is not None:
            untold.append(f"the {what}")
        elif then != now:
            yield f"another {what}: {then} there, {now} here{remedy}"
    if untold:
        change = "change" if len(untold) > 1 else "changes"
        yield f"what its record does not tell: {' and '.join(untold)} {change} the last bits of sums"
