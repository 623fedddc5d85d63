"""What crafts the shards of one protected set, in the process that makes it and in those that help."""

import time
from collections.abc import Callable
from functools import cached_property, partial

import torch
from torch import Tensor

from bench.contracts.budget import UNLIMITED
from bench.contracts.context import CraftContext
from bench.contracts.promises import BrokenPromise, check_crafted, check_left_alone
from bench.core.device import sent
from bench.core.giving_up import interruptible
from bench.core.seeds import derive
from bench.engine.brought import check_spent, kept
from bench.engine.release import BudgetExceeded, release
from bench.plan.checkpoints import load_checkpoints
from bench.plan.estimate import FORWARD_SHARE
from bench.plan.stage import CraftJob
from bench.run.stages.kept_rounds import KeptRounds
from bench.run.stages.shards import shard, shard_name, shard_size, shards, size_for
from bench.run.stages.workbench import Workbench
from bench.store.draft import Draft


class Crafter:
    """Crafts shards; loads the checkpoints of the surrogates, and prepares the method, with the first of them.

    Parameters
    ----------
    rounds
        Keeps what comes of the rounds of a method: those of `prepare` alone where images are independent. None keeps
        nothing.

    Raises
    ------
    SepbenchError
        The images that were brought do not spend what they are said to.

    """

    def __init__(self, job: CraftJob, bench: Workbench, rounds: KeptRounds | None = None) -> None:
        self.job, self._bench, self._rounds = job, bench, rounds
        self.method = job.method.build()
        self.size = size_for(self.method, bench.splits, bench.device)
        self.starts = range(0, len(bench.splits.to_protect), self.size)
        forward = FORWARD_SHARE * self.method.forward_passes()
        self._before = forward / (forward + self.method.passes()) if forward else 0.0
        self.spent = self.method.brought.spent if self.method.brought else {}
        if self.spent:  # at the size that the files have: pixels that were resized for training tell less
            check_spent(self.spent, job.budget)
        self._budget = None if self.spent else job.budget
        self._since = time.perf_counter()

    def name(self, start: int) -> str:
        """Return what the file of the shard is called that begins there."""
        return shard_name(start, self.size)

    @cached_property
    def context(self) -> CraftContext:
        """What the method is given; made when first asked for."""
        bench, brought = self._bench, self.method.brought
        return CraftContext(
            surrogates=[
                list(load_checkpoints(part, bench.splits.train, bench.store, bench.device))
                for part in self.job.checkpoints
            ],
            seed=derive(self.job.seed, "craft"),
            device=bench.device,
            images=len(bench.splits.train),
            brought=kept(bench.store, brought.sha256) if brought else None,
            architecture=self.job.architecture or "",
            keeper=self._rounds,
            on_round=bench.on_safe_point,
        )

    def begin(self) -> None:
        """Start to count the seconds of the next shard."""
        self._since = time.perf_counter()

    def put(
        self,
        start: int,
        draft: Draft,
        done: int,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Craft the shard that begins there, keep it, and tell `bench.on_progress` of the set meanwhile.

        Parameters
        ----------
        done
            How many shards of the set are there before.
        wanted
            Tells, once it is crafted, whether it is to be kept.

        """
        context = self._prepared
        context.on_step = partial(self._on_step, done)
        released = self.released(start, self.size)
        if wanted():
            info = {"seconds": self._seconds(done), "spent": context.spent}
            draft.put(self.name(start), {"images": released}, info)
        context.on_step(1.0)

    def prepare(self) -> None:
        """Let the method look at all images."""
        bench, method = self._bench, self.method
        size = shard_size(bench.splits.train.images.shape[-2:], bench.device)
        with interruptible():
            method.prepare(lambda: shards(bench.splits, size, bench.device), self.context)

    def prepare_again(self) -> None:
        """Take a new instance of the method, and let it look at all images."""
        self.method = self.job.method.build()
        self.prepare()

    def released(self, start: int, size: int) -> Tensor:
        """Return the bytes that the method makes of some images; raises `BrokenPromise` where it makes none of them."""
        bench, method, name = self._bench, self.method, self.job.method.name
        data = shard(bench.splits, start, size, bench.device)
        with interruptible():
            crafted = method.craft(data, self.job.budget or UNLIMITED, self.context)
        given = shard(bench.splits, start, size, bench.device)
        check_left_alone(name, {field: (getattr(data, field), getattr(given, field)) for field in ("x", "y", "index")})
        check_crafted(name, given.x, crafted)
        original = sent(bench.splits.train.images[given.index], bench.device)
        try:
            # None for images that were brought, which are audited as their files are.
            return release(original, crafted, self._budget, method.rounding)
        except BudgetExceeded as error:
            raise BrokenPromise(
                f"the method '{name}' leaves its budget in craft: {error}; end with budget.project(data.x, images)"
            ) from error

    def again(self, start: int, count: int, each: int) -> Tensor:
        """Return once more, on the CPU, the bytes of `count` images from `start` on, crafted `each` at a time."""
        return torch.cat([self.released(part, each) for part in range(start, start + count, each)]).cpu()

    @cached_property
    def _prepared(self) -> CraftContext:
        self.context.on_step = self._on_step_before
        self.prepare()
        if self.method.per_sample:  # shards know nothing of each other
            self.context.keeper = None
        return self.context

    def _seconds(self, done: int) -> float:
        """Return what the shard took that begins after so many others; the first is what preparing it took, too."""
        took = time.perf_counter() - self._since
        if self._rounds is None:
            return took
        if not self.method.per_sample:
            return self._rounds.seconds
        return took if done else took + self._rounds.before

    def _on_step_before(self, fraction: float) -> None:
        """Tell how far the method is in preparing; no round is waited for, however long it takes."""
        self._bench.on_progress(self._before * fraction)
        self._bench.on_safe_point()

    def _on_step(self, done: int, fraction: float) -> None:
        """Tell how far the set is, of which so many shards are done."""
        self._bench.on_progress(self._before + (1 - self._before) * (done + fraction) / len(self.starts))
