"""Tasks of Ray that help with crafting: shards of a stage at work, on what of the cluster has nothing else to do."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from bench.data.loading import DataCard
from bench.plan.stage import Stage
from bench.run.executors.ray_request import Request
from bench.run.executors.ray_worker import help_on
from bench.run.stages.helping import may_be_helped, most_helpers

_LOSSES = 3
"""How many helpers of one stage may die until nobody helps with it any more."""


class RayHelpers:
    """The helpers of one run.

    Parameters
    ----------
    ray
        The module.
    errand, mailbox
        As every task of the run is given.
    card
        Of the data set.

    """

    def __init__(self, ray: Any, errand: Any, mailbox: Any, card: DataCard) -> None:
        self._ray, self._errand, self._mailbox, self._card = ray, errand, mailbox, card
        self._running: dict[Any, Stage] = {}
        self._finished: set[str] = set()
        self._losses: Counter[str] = Counter()

    def send(
        self,
        at_work: Sequence[Stage],
        fractions: Mapping[str, float],
        requests: Mapping[str, Request],
        free: int,
        *,
        calls: int = 0,
    ) -> None:
        """Send helpers to stages that craft, as far as the cluster has room for `free` more tasks.

        Parameters
        ----------
        fractions
            How far stages are: before its first step one cannot be helped.
        requests
            What each stage asks for, by its key; a helper asks for the same.
        calls
            How many tasks a worker may have, 0 for any number.

        """
        self._take()
        self._call_off({stage.key for stage in at_work})
        for stage in at_work:
            if stage.key in self._finished or not fractions.get(stage.key) or not may_be_helped(stage, self._card):
                continue
            helping = sum(one.key == stage.key for one in self._running.values())
            for _ in range(min(free - len(self._running), most_helpers(self._card) - helping)):
                request = requests[stage.key]
                task = self._ray.remote(max_calls=calls)(help_on).options(
                    name=f"help with {stage.label}", num_cpus=request.cpus, num_gpus=request.gpus, max_retries=0
                )
                self._running[task.remote(self._errand, stage.key, request.threads, self._mailbox)] = stage

    def close(self) -> None:
        """Call all of them off."""
        self._call_off(set())

    def _call_off(self, at_work: Collection[str]) -> None:
        """Call off those whose stage has ended."""
        for ref in [ref for ref, stage in self._running.items() if stage.key not in at_work]:
            del self._running[ref]
            with suppress(self._ray.exceptions.RayError):
                self._ray.cancel(ref)

    def _take(self) -> None:
        """Note which helpers have ended: one that came through found no shard left that nobody had begun."""
        if not self._running:
            return
        for ref in self._ray.wait([*self._running], num_returns=len(self._running), timeout=0)[0]:
            stage = self._running.pop(ref)
            try:
                self._ray.get(ref)
                self._finished.add(stage.key)
            except self._ray.exceptions.RayError:
                self._losses[stage.key] += 1
                if self._losses[stage.key] == _LOSSES:
                    self._finished.add(stage.key)
