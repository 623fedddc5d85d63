"""How long the stages of a plan take: as this home has measured, else as a timed batch suggests."""

import os
import time
from collections.abc import Collection, Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F

from bench.contracts.network import build_network
from bench.core.device import precision
from bench.plan.paces import Paces, Work
from bench.plan.plan import Plan
from bench.plan.stage import CraftJob, Stage
from bench.record.provenance import machine_name

Basis = Literal["measured", "timed"]

FORWARD_SHARE = 0.35
"""What a forward pass alone, as judging is, takes of a pass forwards and backwards."""
_SECONDS_WITHOUT_NETWORKS = 0.5
_BATCH_PIXELS = 64 * 32 * 32
_SMALLEST_BATCH, _LARGEST_BATCH = 4, 64
_MOST_BATCHES, _LONGEST_SECONDS = 5, 0.5
_GAIN_OF_A_THREAD = 0.5  # of what the first one does; networks of this size do not fill many
_SHORTEST = 1e-9


@dataclass(frozen=True)
class Estimate:
    """Seconds a stage takes, and whether stages like it were measured in this home or a batch was timed."""

    seconds: float
    basis: Basis


class Estimator:
    """How long stages of a plan take on a device; for what this home has not measured, batches are timed at once.

    Parameters
    ----------
    stages
        Those that will be asked about.
    compile
        Whether networks train compiled.

    """

    def __init__(
        self,
        plan: Plan,
        stages: Collection[Stage],
        device: torch.device,
        paces: Paces,
        *,
        compile: bool = False,
    ) -> None:
        self._plan = plan
        self._works: dict[Hashable, Work] = {}
        for stage in stages:
            if (like := _like(stage)) not in self._works:
                self._works[like] = work_of(plan, stage, device, threads_of(device), compile)
        works = set(self._works.values())
        self._measured = {work: pace for work in works if (pace := paces.of(work)) is not None}
        batches = {work: work.batches() for work in works if work not in self._measured}
        timed = partial(time_batch, device=device)
        times = {batch: paces.timed(batch, timed) for several in batches.values() for batch in several}
        # Once all batches are timed: what they tell together does not hang on their order.
        self._timed = {
            work: paces.correction(work) * work.share * sum(times[batch] for batch in several) / len(several)
            for work, several in batches.items()
            if several
        }

    def __call__(self, stage: Stage) -> Estimate:
        """Return how long one of the stages takes; what comes before its first and after its last image is left out."""
        work = self._works[_like(stage)]
        if work in self._measured:
            return Estimate(self._measured[work] * images_of(self._plan, stage), "measured")
        if work in self._timed:
            return Estimate(self._timed[work] * images_of(self._plan, stage), "timed")
        return Estimate(_SECONDS_WITHOUT_NETWORKS, "timed")


def _like(stage: Stage) -> Hashable:
    """Return what tells stages of one plan apart whose images pass at different speeds."""
    job = stage.job
    return stage.key if isinstance(job, CraftJob) else (job.architecture, job.recipe.batch_size, id(job.defenses))


def measured_seconds(
    plan: Plan, stages: Iterable[Stage], device: torch.device, paces: Paces, threads: int
) -> dict[str, float] | None:
    """Return by key how long each stage takes with so many threads, None where one was not measured in this home."""
    seconds: dict[str, float] = {}
    known: dict[Work, float | None] = {}
    for stage in stages:
        work = work_of(plan, stage, device, threads, compile=False)
        if work not in known:
            known[work] = paces.of(work)
        if (pace := known[work]) is None:
            return None
        seconds[stage.key] = pace * images_of(plan, stage)
    return seconds


def work_of(plan: Plan, stage: Stage, device: torch.device, threads: int, compile: bool) -> Work:
    """Return what decides how fast images pass in a stage."""
    job, card = stage.job, plan.card
    if isinstance(job, CraftJob):
        wanted = getattr(job.method.params, "precision", "auto")
        networks = job.networks
        kind: Literal["train", "craft"] = "craft"
        detail = job.method.name
    else:
        wanted = job.recipe.precision
        networks = (job.architecture,)
        kind, detail = "train", f"{job.defenses}, batches of {job.recipe.batch_size}"
    return Work(
        kind=kind,
        networks=networks,
        detail=detail,
        classes=len(card.classes),
        height=card.height,
        width=card.width,
        precision=precision(device, wanted),
        device=machine_name(device),
        threads=threads,
        compiled=compile and kind == "train",
    )


def images_of(plan: Plan, stage: Stage) -> float:
    """Return how many images pass forwards and backwards in a stage, with those that only go forwards as a share.

    Of a method that asks no network, how many there are to protect.
    """
    job, card = stage.job, plan.card
    if isinstance(job, CraftJob):
        passes = stage.passes + FORWARD_SHARE * stage.forward_passes
        return passes * card.n_train if job.networks else float(card.n_protected)
    return stage.passes * card.n_train + job.recipe.epochs * FORWARD_SHARE * card.n_test


def note_pace(plan: Plan, stage: Stage, meta: dict[str, Any], seconds: float, device: torch.device, home: Path) -> None:
    """Remember how long a stage took that ended in this process.

    Parameters
    ----------
    meta
        Of its artifact: where the stage went on from an earlier process, its seconds count, too.
    seconds
        From its start in this process to its end.

    """
    compiled = meta.get("history", {}).get("compiled", False)
    work = work_of(plan, stage, device, threads_of(device), compiled)
    images = images_of(plan, stage)
    if isinstance(stage.job, CraftJob) and stage.passes:  # a method may have stopped before its last round
        images *= meta["passes"] / stage.passes
    Paces(home).note(work, max(seconds, meta["seconds"]) / max(images, 1.0))


def threads_of(device: torch.device) -> int:
    """Return how many threads of this process do the work; none on a GPU."""
    return torch.get_num_threads() if device.type == "cpu" else 0


def threads_of_each(device: torch.device, jobs: int) -> int:
    """Return how many threads each of several processes gets: on a CPU they divide those of one, unless told."""
    together = threads_of(device)
    return together if "OMP_NUM_THREADS" in os.environ else max(1, together // jobs) if together else 0


def time_batch(work: Work, device: torch.device) -> float:
    """Return the seconds that one image takes of a forward and backward pass on a device that does nothing else.

    The quickest of several batches. On a CPU they run on one thread, whose processor time counts, as on a busy machine
    the clock tells of other programs, and several threads that wait for each other burn time; what further threads
    would gain is assumed.
    """
    batch = min(max(_BATCH_PIXELS // (work.height * work.width), _SMALLEST_BATCH), _LARGEST_BATCH)
    images = torch.zeros(batch, 3, work.height, work.width, dtype=torch.uint8)
    (architecture,) = work.networks
    network = build_network(architecture, work.classes, images, normalise=False, seed=0, device=device)
    x = (images.float() / 255).to(device, memory_format=torch.channels_last)
    y = torch.zeros(batch, dtype=torch.int64, device=device)
    now = time.perf_counter if device.type == "cuda" else time.process_time
    times: list[float] = []
    with _threads(1):
        while len(times) < 2 or (len(times) <= _MOST_BATCHES and sum(times) < _LONGEST_SECONDS):
            began = now()
            F.cross_entropy(network(x), y).backward()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times.append(now() - began)
    gain = 1 + _GAIN_OF_A_THREAD * (max(work.threads, 1) - 1)
    return max(min(times[1:]) / gain, _SHORTEST) / batch  # the first makes what all others find


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
