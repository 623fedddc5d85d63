"""What a plan comes to before it runs: stages left, passes, time, work, room on the disk."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, get_args

import torch

from bench.core.duration import duration
from bench.core.sizes import size_text
from bench.data.counts import Counts, names_of
from bench.data.loading import DataCard, PublishedCard
from bench.plan.cost import Costs, bytes_of_every_epoch, estimate_bytes, estimate_flops
from bench.plan.estimate import Basis, Estimator, measured_seconds, threads_of_each
from bench.plan.paces import Paces
from bench.plan.plan import Plan
from bench.plan.right_now import Asked
from bench.plan.stage import CraftJob, Kind, Stage
from bench.plan.unreached import unreached
from bench.spec.names import NOTHING, passes_text
from bench.store.home import Home

_GPU_RATE = 1e14
"""Operations a second that networks of this size may be expected to reach on a current data-centre GPU."""
_CLASSES_SHOWN = 12
_MUCH = 2**30
"""Bytes of checkpoints from which on they are worth a line."""


@dataclass(frozen=True)
class PlannedStage:
    """A stage, whether its artifact is there, and its cost where it is not: seconds, operations, bytes on the disk.

    Attributes
    ----------
    key
        None where the data is not here: what stages are depends on it.
    about
        The method, or the architecture of a surrogate.
    at_most
        Whether passes, seconds and operations may be fewer: of a method that trains, see `Method.passes`.
    forward_passes
        What is not among `passes`, as it goes forward alone; at most so much.
    basis
        What the seconds rest on: stages like it that this home has `measured`, or a batch that was `timed`.

    """

    kind: str
    about: str
    label: str
    key: str | None
    done: bool
    passes: float
    forward_passes: float
    at_most: bool
    seconds: float
    basis: Basis | None
    flops: float
    bytes: float


@dataclass(frozen=True)
class Sharing:
    """What several processes on one device make of the time.

    Attributes
    ----------
    threads
        Of each process on a CPU, 0 on a GPU.
    seconds
        Until the last one is done; None on a GPU, and where this home has not measured stages with so many threads.

    """

    jobs: int
    threads: int
    seconds: float | None


@dataclass(frozen=True)
class Outlook:
    """The stages of a plan with their costs; seconds are estimates for `device`.

    Attributes
    ----------
    card
        The data set; where it is not on this machine only its published sizes.
    missing
        What to do so that it is on this machine, where it is not.
    sharing
        What --jobs changes, where it asks for more than one process.
    every_epoch
        Bytes of disk that surrogates to be trained would take if they kept every epoch.
    unreached
        Rows that cannot use their budget, see `bench.plan.unreached`.

    """

    experiment: str
    dataset: str
    card: DataCard
    recipe: str
    device: str
    cells: int
    missing: str | None
    sharing: Sharing | None
    every_epoch: float
    unreached: tuple[str, ...]
    stages: tuple[PlannedStage, ...]

    @property
    def asked(self) -> Asked:
        """What the stages that are left ask of the machine."""
        left = [stage for stage in self.stages if not stage.done]
        return Asked(self.device, len(left), sum(stage.bytes for stage in left))


def estimator(
    plan: Plan, todo: Collection[Stage], device: torch.device, home: Home, compile: bool = False
) -> Callable[[Stage], float]:
    """Return how many seconds each of the stages takes."""
    estimate = Estimator(plan, todo, device, Paces(home.paces), compile=compile)
    return lambda stage: estimate(stage).seconds


def outlook(plan: Plan, home: Home, device: torch.device, jobs: int = 1) -> Outlook:
    """Return what is done and what is left of a plan."""
    card = plan.card
    missing = card.missing if isinstance(card, PublishedCard) else None
    todo = plan.missing(lambda kind, key: False) if missing else plan.todo(home.store)
    left = {stage.key for stage in todo}
    jobs = min(jobs, len(left))  # as a run starts no more than it has stages
    paces, costs = Paces(home.paces), Costs(home.costs)
    estimate = Estimator(plan, todo, device, paces)
    methods = {planned.victim: planned.cell.method.known_as for planned in reversed(plan.cells)}

    def planned(stage: Stage) -> PlannedStage:
        job, open_ = stage.job, stage.key in left
        about = job.method.known_as if isinstance(job, CraftJob) else methods.get(stage.key, job.architecture)
        expected = estimate(stage) if open_ else None
        return PlannedStage(
            kind=stage.kind,
            about=about,
            label=stage.label,
            key=None if missing else stage.key,
            done=not open_,
            passes=stage.passes,
            forward_passes=stage.forward_passes,
            at_most=isinstance(job, CraftJob) and job.architecture is not None,
            seconds=expected.seconds if expected else 0.0,
            basis=expected.basis if expected else None,
            flops=estimate_flops(plan, stage, costs) if open_ else 0.0,
            bytes=estimate_bytes(plan, stage, costs) if open_ else 0.0,
        )

    return Outlook(
        experiment=plan.experiment.name,
        dataset=plan.experiment.dataset.name,
        card=card,
        recipe=plan.experiment.recipe.name,
        device=str(device),
        cells=len(plan.cells),
        missing=missing,
        sharing=_sharing(plan, todo, device, paces, jobs) if jobs > 1 else None,
        every_epoch=sum(bytes_of_every_epoch(plan, stage, costs) for stage in todo),
        unreached=tuple(unreached(plan.experiment)),
        stages=tuple(map(planned, plan.stages.values())),
    )


def _sharing(plan: Plan, todo: Sequence[Stage], device: torch.device, paces: Paces, jobs: int) -> Sharing:
    threads = threads_of_each(device, jobs)
    seconds = measured_seconds(plan, todo, device, paces, threads) if threads else None
    if seconds is None:
        return Sharing(jobs, threads, None)
    at_once = min(jobs, max(1.0, (os.cpu_count() or 1) / threads))
    chains: dict[str, float] = {}
    for stage in todo:  # inputs come before what is made from them
        chains[stage.key] = seconds[stage.key] + max((chains.get(one, 0.0) for one in stage.inputs), default=0.0)
    return Sharing(jobs, threads, max(sum(seconds.values()) / at_once, *chains.values()))


def render_outlook(view: Outlook, home: Home) -> str:
    """Return the outlook for a person, with what is in its way just now."""
    above, total = outlook_lines(view)
    return "\n".join([*above, *view.asked.lines(home.root), *total])


def outlook_lines(view: Outlook, every_stage: bool = False) -> tuple[list[str], list[str]]:
    """Return the outlook for a person: a line for each kind of work or for every stage, and notes; and the total.

    Between these stands what is in its way just now.
    """
    cells = "1 cell" if view.cells == 1 else f"{view.cells} cells"
    head = f"{view.experiment}: {cells} on {view.dataset}, recipe {view.recipe}, on {view.device}"
    body = [_line(stage) for stage in view.stages] if every_stage else _table(view.stages)
    images = _images(view.card, view.dataset, every_stage)
    return [head, *body, *images, *worth_knowing(view.card, view.dataset), *_notes(view)], _total(view)


def outlook_fields(view: Outlook) -> dict[str, Any]:
    """Return the outlook as JSON."""
    own = {name: value for name, value in vars(view).items() if name != "card"}
    nested = {"sharing": view.sharing and vars(view.sharing), "stages": [vars(stage) for stage in view.stages]}
    return {**own, "data": _data(view.card, view.dataset), **nested}


def worth_knowing(card: DataCard, dataset: str) -> list[str]:
    """Return what is unusual about the data set, and what was passed over: clauses without a point."""
    return [*(card.counts.oddities(dataset) if card.counts else ()), *card.remarks]


def _data(card: DataCard, dataset: str) -> dict[str, Any]:
    """Return the images of a data set; what only the images themselves tell is None where they are not here."""
    counts, protected = card.counts, card.protected_classes
    return {
        "n_train": card.n_train,
        "n_test": card.n_test,
        "classes": counts and list(_classes(counts)),
        "protected_classes": None if protected is None or counts is None else counts.classes[:protected],
        "n_test_in_train": counts and card.n_test_in_train,
        "n_test_in_extra": counts and card.n_test_in_extra,
        "worth_knowing": worth_knowing(card, dataset),
    }


def _classes(counts: Counts) -> Iterator[dict[str, Any]]:
    """Yield each class by itself, as two may share a name; `test` is None for one that is not judged."""
    for name, train, test in zip_longest(counts.classes, counts.train, counts.test):
        yield {"name": name, "train": train, "test": test}


def _images(card: DataCard, dataset: str, every_class: bool) -> Iterator[str]:
    """Yield how many images there are, by class where classes differ or every one is asked for."""
    counts = card.counts
    if counts is None:
        judged = "" if card.protected_classes is None else f", of which {card.protected_classes} are judged"
        classes = f"{len(card.classes)} classes{judged}"
        yield f"{dataset}: {card.n_train:,} training and {card.n_test:,} test images of {classes}"
        return
    yield f"{dataset}: {counts.sentence()}"
    if every_class or counts.uneven:
        each = list(counts.of_each_class())
        shown = each if every_class or len(each) <= _CLASSES_SHOWN else each[: _CLASSES_SHOWN - 2]
        rest = len(each) - len(shown)
        yield f"by class, training + test: {', '.join(shown)}{f' and {rest} more, see --all' if rest else ''}"
    if card.protected_classes is not None:
        yield f"protected and judged: {names_of(card.classes[: card.protected_classes])}"


def _line(stage: PlannedStage) -> str:
    mark, time = ("there", "") if stage.done else ("to do", f"~{duration(stage.seconds)}")
    key, passes = (stage.key or NOTHING)[:10], passes_text(stage.passes)
    return f"  {mark:5}  {key:10}  {passes:>6} passes  {time:>12}  {stage.label}"


def _table(stages: Iterable[PlannedStage]) -> list[str]:
    """Return a line for each kind and what it is about, in aligned columns: stages, and what is left of them."""
    groups: dict[tuple[str, str], list[PlannedStage]] = {}
    for kind in get_args(Kind):
        for stage in stages:
            if stage.kind == kind:
                groups.setdefault((kind, stage.about), []).append(stage)
    rows = [("stages", "", "there", "to do", "passes", "time")]
    for (kind, about), several in groups.items():
        left = [stage for stage in several if not stage.done]
        passes, seconds = sum(stage.passes for stage in left), sum(stage.seconds for stage in left)
        cost = (passes_text(passes), f"~{duration(seconds)}") if left else ("", "")
        rows.append((kind, about, str(len(several) - len(left)), str(len(left)), *cost))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        f"  {row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}"
        + "".join(f"  {text:>{width}}" for text, width in zip(row[2:], widths[2:], strict=True)).rstrip()
        for row in rows
    ]


def _notes(view: Outlook) -> Iterator[str]:
    yield from view.unreached
    if all(stage.done for stage in view.stages):
        return
    if view.missing:
        yield (
            f"{view.dataset} is not on this machine: sizes are the published ones, nothing counts as done and stages "
            f"have no keys yet"
        )
        yield f"to run it: {view.missing}"
    if view.sharing:
        yield _shared(view.sharing, view.device)
    if limits := dict.fromkeys(stage.about for stage in view.stages if stage.at_most and not stage.done):
        yield (
            f"of {', '.join(limits)} passes and time are the most there may be: what trains while it crafts may be "
            f"done before, and a batch holds no more images than there are"
        )
    forward: dict[str, float] = {}
    for stage in view.stages:
        if stage.forward_passes > stage.passes and not stage.done:
            forward[stage.about] = max(stage.forward_passes, forward.get(stage.about, 0.0))
    for about, passes in forward.items():
        yield f"{about} takes up to {passes_text(passes)} passes forward alone before, which its time counts"
    yield from _checkpoints(view)


def _checkpoints(view: Outlook) -> Iterator[str]:
    """Yield what of the disk checkpoints take, where that is much."""
    surrogates = [stage for stage in view.stages if stage.kind == "surrogate" and not stage.done]
    checkpoints = sum(stage.bytes for stage in surrogates)
    if view.every_epoch > checkpoints:
        yield (
            f"checkpoints of surrogates take {size_text(checkpoints)} of disk, those alone that this experiment asks "
            f"for: with every epoch it would be {size_text(view.every_epoch)}, so other methods may have to train anew"
        )
    elif checkpoints >= _MUCH:
        yield f"checkpoints of surrogates take {size_text(checkpoints)} of disk: sepbench clean --checkpoints frees it"


def _shared(sharing: Sharing, device: str) -> str:
    threads = f" of {sharing.threads} thread{'s' * (sharing.threads != 1)} each" if sharing.threads else ""
    processes = f"{sharing.jobs} processes{threads} on {device}"
    if sharing.seconds is None:
        return f"{processes} share what one has to itself: the work stays the same, and no gain is promised"
    return f"{processes}: about {duration(sharing.seconds)}, as this home has measured"


def _total(view: Outlook) -> list[str]:
    left = [stage for stage in view.stages if not stage.done]
    done = len(view.stages) - len(left)
    there = "1 stage is there" if done == 1 else f"{done} stages are there"
    if not left:
        return [f"{there}, nothing is left to do"]
    passes = sum(stage.passes for stage in left)
    flops = sum(stage.flops for stage in left)
    room = sum(stage.bytes for stage in left)
    return [
        f"{there}, {len(left)} to do: {passes_text(passes)} passes, {_time(left, view.device)}",
        f"{flops / 1e15:.2g} PFLOP, or {flops / _GPU_RATE / 3600:.2g} GPU-hours at {_GPU_RATE / 1e12:g} TFLOP/s; "
        f"about {room / 2**30:.2g} GiB of disk",
    ]


def _time(left: Sequence[PlannedStage], device: str) -> str:
    """Return the time that is left, and what it rests on."""
    seconds = sum(stage.seconds for stage in left)
    measured = sum(stage.seconds for stage in left if stage.basis == "measured")
    if all(stage.basis == "measured" for stage in left):
        return f"about {duration(seconds)} on {device}, as this home has measured"
    if not measured:
        return f"roughly {duration(seconds)} on {device}, from timed batches: what has run here tells better"
    shares = f"{duration(measured)} measured here, the rest from timed batches"
    return f"roughly {duration(seconds)} on {device}: {shares}"
