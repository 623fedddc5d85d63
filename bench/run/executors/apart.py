"""A stage on a node that does not see the home: in a home of the node's own, to which Ray brings what it reads."""

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray

from bench.core.errors import SepbenchError, Stopped
from bench.engine import brought
from bench.plan.checkpoints import names_of
from bench.plan.plan import Plan
from bench.plan.stage import CraftJob, Stage, StageResult, VictimJob
from bench.record.tracking import outbox
from bench.run.executors.local import traceback_of
from bench.run.stopping import Stop
from bench.store.fetching import fetch, fetch_draft, send, send_draft
from bench.store.home import Home
from bench.store.passing_home import passing_home, remove_passing_home

_EVERY_SECONDS = 1.0
_PATIENCE_SECONDS = 600.0
"""For a file to arrive."""


class Apart:
    """A node that does not see the home, during one stage.

    Parameters
    ----------
    depot
        The actor that is a `Depot` of the home.
    mark
        The file by which the run tells who sees its home: its name is the run's alone.

    """

    def __init__(self, depot: Any, mark: Path) -> None:
        self._depot = depot
        self._who = secrets.token_hex(8)
        node: str = ray.get_runtime_context().get_node_id()
        self._ask("enter", node)  # before there is anything to clear away
        self.home: Home = passing_home(_name(mark, node))

    def work(self, stage: Stage, stop: Stop, work: Callable[[], StageResult]) -> StageResult:
        """Fetch what a stage reads, let it be worked on in `home`, and send what has come of it.

        Raises
        ------
        NotThere
            What it reads is not there any more.

        """
        while not self._ask("hold", stage.key, self._who):
            time.sleep(_EVERY_SECONDS)
            stop.check()
        now = time.time()
        if isinstance(self._ask("document", stage.kind, stage.key), bytes):  # another process made it meanwhile
            return StageResult(stage, "done", now, now)
        self._fetch_inputs(stage)
        fetch_draft(self._ask, self.home, stage.kind, stage.key)
        try:
            result = work()
        except Stopped:
            send_draft(self._ask, self._who, self.home, stage.kind, stage.key)
            raise
        sent = send if result.status == "done" else send_draft
        sent(self._ask, self._who, self.home, stage.kind, stage.key)
        return result

    def reports(self, plan: Plan, stage: Stage) -> tuple[bytes, ...]:
        """Return what MLflow is to be told of a stage, and forget it."""
        paths = outbox.of_stage(self.home.outbox, plan.experiment.name, stage.kind, stage.key)
        told = tuple(path.read_bytes() for path in paths)
        for path in paths:
            outbox.remove(path)
        return told

    def traceback(self, stage: Stage) -> str | None:
        """Return the traceback of a stage that failed."""
        with suppress(OSError):
            return traceback_of(stage, self.home.logs).read_text(encoding="utf-8")
        return None

    def _fetch_inputs(self, stage: Stage) -> None:
        job = stage.job
        if isinstance(job, VictimJob):
            fetch(self._ask, self.home, "craft", job.protected)
        if isinstance(job, CraftJob):
            for part in job.checkpoints:
                fetch(self._ask, self.home, "surrogate", part.surrogate, ())
                names: list[str] = []
                with suppress(SepbenchError):  # it never had so many: crafting says so
                    names = names_of(part, self.home.store)
                fetch(self._ask, self.home, "surrogate", part.surrogate, names)
            if (images := job.method.build().brought) is not None:
                fetch(self._ask, self.home, brought.KIND, images.sha256)

    def _ask(self, method: str, *arguments: Any) -> Any:
        # Not ray.get: while a task waits in it, Ray gives its cores to another one.
        try:
            return getattr(self._depot, method).remote(*arguments).future().result(_PATIENCE_SECONDS)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, SepbenchError):
                raise SepbenchError(str(error.cause)) from error
            raise
        except TimeoutError as error:
            minutes = f"{_PATIENCE_SECONDS / 60:.0f} minutes"
            raise SepbenchError(
                f"the machine of the home did not answer within {minutes}: check the network"
            ) from error


def clear_away(mark: Path) -> None:
    """Remove the home that this node had for a run."""
    remove_passing_home(_name(mark, ray.get_runtime_context().get_node_id()))


def _name(mark: Path, node: str) -> str:
    return f"{mark.stem}-{node[:16]}"
