"""The nodes of a Ray run that do not see its home, as the driver deals with them."""

import logging
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.core.disk import make_folder, write_atomically, writing
from bench.plan.plan import Plan
from bench.plan.stage import Stage
from bench.record.tracking import StageReport, outbox
from bench.run.executors.local import traceback_of
from bench.run.executors.ray_worker import Report
from bench.store.depot import Depot
from bench.store.home import Home

_LOG = logging.getLogger("sepbench")
_PATIENCE_SECONDS = 30.0
_CLEARING_SECONDS = 20.0


class NodesApart:
    """Nodes that do not see the home; without any this costs nothing.

    Parameters
    ----------
    here
        Where Ray has to place what sees the home.

    """

    def __init__(self, ray: Any, home: Home, mark: Path, here: Any) -> None:
        self._ray, self._home, self._mark, self._here = ray, home, mark, here
        self.depot: Any = None

    def take(self, plan: Plan, stage: Stage, report: Report) -> bool:
        """Keep what a node could not; tell whether that was all, and the stage is to be given out again."""
        if report.status == "apart":
            self._open(report.host)
            return True
        if self.depot is None:
            return False
        with suppress(self._ray.exceptions.RayError):
            self._ray.get(self.depot.release.remote(stage.key), timeout=_PATIENCE_SECONDS)  # a dead worker does not
        if report.status == "lacking":
            _LOG.warning("%s: %s", stage.label, report.reason)
        with writing(self._home.root):
            for told in report.reports:
                outbox.put(self._home.outbox, plan.experiment.name, StageReport.from_json(told))
            if report.traceback is not None:
                file = traceback_of(stage, self._home.logs)
                make_folder(file.parent)
                write_atomically(file, report.traceback.encode(), durable=False)
        return False

    def close(self) -> None:
        """Remove the homes that these nodes had."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        from bench.run.executors.apart import clear_away

        if self.depot is None:
            return
        with suppress(self._ray.exceptions.RayError):
            used = set(self._ray.get(self.depot.close.remote(), timeout=_PATIENCE_SECONDS))
            there = [node["NodeID"] for node in self._ray.nodes() if node["Alive"] and node["NodeID"] in used]
            task = self._ray.remote(num_cpus=0, max_retries=0)(clear_away)
            refs = [
                task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(self._mark)
                for node in there
            ]
            self._ray.wait(refs, num_returns=len(refs), timeout=_CLEARING_SECONDS)

    def _open(self, host: str) -> None:
        if self.depot is None:
            print(
                f"{host}, a node of the Ray cluster, does not see {self._home.root}: what its stages read and make is "
                f"sent by Ray",
                file=sys.stderr,
                flush=True,
            )
            actor = self._ray.remote(num_cpus=0)(Depot).options(scheduling_strategy=self._here)
            self.depot = actor.remote(str(self._home.root.absolute()))
