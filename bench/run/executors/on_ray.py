"""Stages on a Ray cluster: Ray decides where and when, the home and its locks decide all else."""

import logging
import math
import os
import re
import secrets
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from bench.core.device import choose_device
from bench.core.disk import make_folder, write_atomically, writing
from bench.core.errors import SepbenchError, Stopped
from bench.plan.plan import Plan
from bench.plan.stage import Stage, StageResult
from bench.run.assignment import Assignment
from bench.run.executors.executor import Workplace
from bench.run.executors.local import is_ready, not_reached
from bench.run.executors.mailbox import Mailbox
from bench.run.executors.nodes_apart import NodesApart
from bench.run.executors.ray_helpers import RayHelpers
from bench.run.executors.ray_worker import Errand, Report, work_on
from bench.run.sharing import finished
from bench.store import lock
from bench.store.artifacts import CorruptArtifact
from bench.store.home import Home

_LOG = logging.getLogger("sepbench")
_EVERY_SECONDS = 1.0
_LOOK_SECONDS = 5.0
"""Between two looks at which nodes there are."""
_GRACE_SECONDS = 600.0  # as of the further processes on one machine
_PATIENCE_SECONDS = 60.0
"""For nodes that join or come back, and for a shared disk to show here what was written there."""
_LOSSES = 3
"""How many workers may die over one stage before it has failed."""


class OnRay:
    """A task of Ray for each stage, on a home that nodes share or are sent what they need of.

    Parameters
    ----------
    address
        Of a cluster; without it RAY_ADDRESS names one, or one is started on this machine for as long as the run lasts.

    Raises
    ------
    SepbenchError
        Ray is not installed.

    """

    name = "ray"

    def __init__(self, address: str | None = None) -> None:
        if find_spec("ray") is None:
            raise SepbenchError("--executor ray needs Ray: pip install 'sepbench[ray]'")
        self._address, self._wanted, self._jobs = address, "auto", 1

    def devices(self, names: str, jobs: int) -> list[torch.device]:
        """Return the device of this process, which works on no stage; remember what is wanted of the cluster."""
        if names not in ("auto", "cpu", "cuda"):
            raise SepbenchError(
                f"--devices {names}: Ray chooses among the devices of its nodes; write auto, cpu or cuda"
            )
        self._wanted, self._jobs = names, jobs
        return [choose_device("cpu" if names == "cpu" else "auto")]

    def execute(self, plan: Plan, todo: list[Stage], place: Workplace) -> Generator[StageResult, None, None]:
        """Run stages at once where they do not need each other; each leaves artifact and record by itself.

        What a worker that died was working on is given to another one, and begins where its last safe point was.
        """
        if not todo:
            return
        from bench.run.executors.ray_cluster import cluster, nodes
        from bench.run.executors.ray_request import Requests

        with _aside(place.home.logs), cluster(self._address), _mark(place.home) as mark:
            requests = Requests(self._wanted, self._jobs, nodes())
            yield from _Run(plan, todo, place, requests, mark).results()


class _Run:
    """The stages of one run that are left, at work, and failed."""

    def __init__(self, plan: Plan, todo: list[Stage], place: Workplace, requests: Any, mark: Path) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        from bench.run.executors.ray_cluster import nodes

        self._ray: Any = ray
        self._nodes = nodes
        self._plan, self._place, self._requests = plan, place, requests
        self._left = {stage.key: stage for stage in todo}
        self._running: dict[Any, Stage] = {}
        self._failed: dict[str, StageResult] = {}
        self._losses: Counter[str] = Counter()
        self._told: set[str] = set()
        self._unfit_since: float | None = None
        self._shown: str | None = None
        self._looked, self._there = -math.inf, nodes()
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self._mailbox: Any = ray.remote(num_cpus=0)(Mailbox).options(scheduling_strategy=here).remote()
        self._apart = NodesApart(ray, place.home, mark, here)
        assignment = Assignment.of(plan, place, torch.device(requests.device)).model_dump_json()
        environment = _environment(assignment, place.home)
        self._errand = ray.put(Errand(assignment, str(place.home.root), str(mark), str(Path.cwd()), environment))
        self._helpers = RayHelpers(ray, self._errand, self._mailbox, plan.card)

    def results(self) -> Iterator[StageResult]:
        """Yield each stage when it has ended."""
        store = self._place.home.store
        try:
            while self._left:
                for stage in [one for one in self._left.values() if is_ready(one, self._left)]:
                    unmade = (self._failed[one] for one in stage.inputs if one in self._failed)
                    broken = next((one for one in unmade if not store.has(one.stage.kind, one.stage.key)), None)
                    if broken is not None:
                        yield from self._end(stage, not_reached(stage, broken))
                self._submit()
                if not self._running:
                    continue
                for ref in self._ray.wait([*self._running], timeout=_EVERY_SECONDS)[0]:
                    yield from self._take(self._running.pop(ref), ref)
                fractions = self._fractions()
                self._show(fractions)
                self._help(fractions)
                self._place.stop.check()
        except Stopped as stop:
            self._stop(str(stop))
            raise
        finally:
            self._helpers.close()
            self._apart.close()

    def _submit(self) -> None:
        """Hand Ray twice as many stages as it can run at once: it finds their places, and asks for more nodes."""
        if time.monotonic() - self._looked > _LOOK_SECONDS:
            self._looked, self._there = time.monotonic(), self._nodes()
        nodes = self._there
        waiting = {stage.key for stage in self._running.values()}
        for stage in self._left.values():
            if stage.key in waiting or not is_ready(stage, self._left):
                continue
            request = self._requests.of(stage)
            self._check_fits(request, nodes)
            if self._unfit_since is not None or len(self._running) >= 2 * request.at_once(nodes):
                return
            task = self._ray.remote(max_calls=self._calls(request))(work_on).options(
                name=stage.label,
                num_cpus=request.cpus,
                num_gpus=request.gpus,
                max_retries=_LOSSES - 1,
                retry_exceptions=False,
            )
            ref = task.remote(self._errand, stage.key, request.threads, self._mailbox, self._apart.depot)
            self._running[ref] = stage

    def _calls(self, request: Any) -> int:
        """Return how many tasks a worker may have, 0 for any number.

        It keeps the GPU that it saw first, so that where a node has several it has one task only.
        """
        return int(any(node.get("GPU", 0.0) > 1 for node in self._there) and request.gpus > 0)

    def _check_fits(self, request: Any, nodes: list[Any]) -> None:
        """Raise `SepbenchError` where no node has what a stage needs, and none comes: Ray would wait for ever."""
        if any(request.fits(node) for node in nodes):
            self._unfit_since = None
            return
        now = time.monotonic()
        if self._unfit_since is None:
            self._unfit_since = now
            print(f"waiting: no node of the Ray cluster has {request}", file=sys.stderr, flush=True)
        if now - self._unfit_since > _PATIENCE_SECONDS or len(nodes) == 1:
            most = max((node.get("CPU", 0.0) for node in nodes), default=0.0)
            raise SepbenchError(
                f"a stage asks for {request}, and no node of the Ray cluster has that, the largest has {most:g}: "
                f"set OMP_NUM_THREADS, give more --jobs, or start nodes; finished work is kept"
            )
        time.sleep(_EVERY_SECONDS)
        self._place.stop.check()

    def _take(self, stage: Stage, ref: Any) -> Iterator[StageResult]:
        """Yield the end of a stage from what came back of its task."""
        report = self._report(stage, ref)
        for warning in report.warnings:
            if warning not in self._told:
                self._told.add(warning)
                _LOG.warning("%s (on %s)", warning, report.host)
        if report.status == "refused":
            raise SepbenchError(f"{report.host}, a node of the Ray cluster, cannot work on this: {report.reason}")
        if self._apart.take(self._plan, stage, report):
            return
        if report.status in ("stopped", "lacking"):  # not by this run: the node is about to go, or an input was damaged
            self._losses[stage.key] += 1
            if self._losses[stage.key] < _LOSSES:
                made = self._place.home.store.has
                self._left = {**{one.key: one for one in self._plan.upstream(stage.key, made)}, **self._left}
                return
            report = replace(report, status="failed", reason=f"{report.reason} on {_LOSSES} nodes")
        if report.status == "done" and self._is_here(stage):
            yield from self._end(stage, gpu_mb=report.gpu_mb)
        elif report.status == "done":
            raise SepbenchError(
                f"{report.host}, a node of the Ray cluster, has made {stage.label}, which is not to be seen here: set "
                f"SEPBENCH_HOME to a folder that all nodes share, at one path"
            )
        else:
            times = report.started, report.ended
            yield from self._end(stage, StageResult(stage, "failed", *times, reason=report.reason, cause=report.cause))

    def _report(self, stage: Stage, ref: Any) -> Report:
        errors = self._ray.exceptions
        now = time.time()
        try:
            report: Report = self._ray.get(ref)
        except errors.TaskCancelledError as error:
            return Report("stopped", "a node", now, now, _first_line(error))
        except errors.RayTaskError as error:
            raise SepbenchError(f"a worker of Ray broke down over {stage.label}: {_first_line(error.cause)}") from error
        except errors.RayError as error:
            reason = f"{_LOSSES} workers of Ray died over it: {_first_line(error)}"
            return Report("failed", "a node", now, now, reason)
        return report

    def _is_here(self, stage: Stage) -> bool:
        """Tell whether the artifact of a stage is to be seen here: a network disk may take a while."""
        limit = time.monotonic() + _PATIENCE_SECONDS
        while not self._place.home.store.has(stage.kind, stage.key):
            if time.monotonic() > limit:
                return False
            time.sleep(_EVERY_SECONDS)
        return True

    def _end(self, stage: Stage, failure: StageResult | None = None, gpu_mb: float = 0.0) -> Iterator[StageResult]:
        """Yield the end of a stage under its lock; where its artifact is damaged, it is to be made again."""
        store = self._place.home.store
        with self._held(stage.key):
            result = failure
            if store.has(stage.kind, stage.key):  # also where another run had more luck
                try:
                    result = finished(stage, store)
                except CorruptArtifact as damage:
                    store.set_aside(damage.kind, damage.key, damage.what)
                    self._left = {**{one.key: one for one in self._plan.upstream(damage.key, store.has)}, **self._left}
                    return
            assert result is not None
            del self._left[stage.key]
            if result.meta is None:
                self._failed[stage.key] = result
            else:
                self._requests.learn(stage, result.meta["peak_memory_mb"], gpu_mb)
            self._place.watcher.ended(result)
            yield result

    @contextmanager
    def _held(self, key: str) -> Iterator[None]:
        """Hold the lock of a stage, once no other process does."""
        locks = self._place.home.locks
        while (held := lock.acquire(locks, key)) is None:
            self._place.watcher.waiting(lock.owner(locks, key) or "another process")
            time.sleep(_EVERY_SECONDS)
            self._place.stop.check()
        with held:
            yield

    def _fractions(self) -> dict[str, float]:
        """Return how far each stage is that has begun."""
        found: dict[str, float] = {}
        with suppress(self._ray.exceptions.RayError):
            found = self._ray.get(self._mailbox.fractions.remote(), timeout=_EVERY_SECONDS)
        return found

    def _help(self, fractions: Mapping[str, float]) -> None:
        """Let what of the cluster is idle craft shards of stages at work."""
        at_work = [*self._running.values()]
        requests = {stage.key: self._requests.of(stage) for stage in at_work}
        if requests and self._unfit_since is None:
            free = min(request.at_once(self._there) for request in requests.values()) - len(at_work)
            calls = max(map(self._calls, requests.values()))
            self._helpers.send(at_work, fractions, requests, free, calls=calls)

    def _show(self, fractions: Mapping[str, float]) -> None:
        """Show the stage that has been at work for longest."""
        stage = next((one for one in self._running.values() if one.key in fractions), None)
        if stage is None:
            return
        if stage.key != self._shown:
            self._shown = stage.key
            self._place.watcher.started(stage)
        if fractions[stage.key] > 0:
            self._place.watcher.progress(fractions[stage.key])

    def _stop(self, why: str) -> None:
        """Let stages that have begun come to a safe point, and the others not begin."""
        begun: Mapping[str, float] = {}
        with suppress(self._ray.exceptions.RayError):
            self._ray.get(self._mailbox.stop.remote(why), timeout=_EVERY_SECONDS)
            begun = self._ray.get(self._mailbox.fractions.remote(), timeout=_EVERY_SECONDS)
        for ref, stage in self._running.items():
            if stage.key not in begun:
                self._ray.cancel(ref)
        limit, told, running = time.monotonic() + _GRACE_SECONDS, False, [*self._running]
        while running and time.monotonic() < limit:
            running = self._ray.wait(running, num_returns=len(running), timeout=_EVERY_SECONDS)[1]
            if running and not told:
                told = True
                stages = "1 stage" if len(running) == 1 else f"{len(running)} stages"
                print(f"waiting for {stages} to reach a safe point", file=sys.stderr, flush=True)


@contextmanager
def _aside(logs: Path) -> Iterator[None]:
    """Let what Ray prints of lost workers and nodes stand in a file, not in the table; a sentence names it."""
    file = logs / f"ray-{os.getpid()}-{secrets.token_hex(4)}.log"
    with writing(logs):
        make_folder(logs)
        out = file.open("w", buffering=1, encoding="utf-8")
    try:
        with out, redirect_stdout(out):
            yield
    finally:
        if file.stat().st_size:
            _LOG.warning("Ray lost workers or nodes, whose stages were begun again: see %s", file)
        else:
            file.unlink()


@contextmanager
def _mark(home: Home) -> Iterator[Path]:
    """Yield a file in the home, by which a node knows that it sees the home."""
    file = home.logs / f"ray-{secrets.token_hex(8)}.mark"
    with writing(home.logs):
        make_folder(home.logs)
        write_atomically(file, b"", durable=False)
    try:
        yield file
    finally:
        file.unlink(missing_ok=True)


def _environment(assignment: str, home: Home) -> dict[str, str]:
    """Return the variables that workers need: those that decide where things lie."""
    named = {"MLFLOW_TRACKING_URI", "SEPBENCH_DATA", *re.findall(r"\$\{(\w+)\}", assignment)}
    return {"SEPBENCH_HOME": str(home.root), **{name: os.environ[name] for name in named if name in os.environ}}


def _first_line(error: object) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
