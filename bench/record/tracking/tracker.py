"""The log of one benchmark run, kept in MLflow while MLflow answers and on disk when it does not."""

import json
import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.record.tracking import outbox, signs
from bench.record.tracking.address import without_password
from bench.record.tracking.connection import cause, connected
from bench.record.tracking.files import Files
from bench.record.tracking.report import StageReport
from bench.record.tracking.runs import (
    close_dead,
    find_or_create_experiment,
    is_there,
    log_stage,
    open_parent,
)
from bench.store.home import Home
from bench.store.lock import Lock

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger("sepbench")

_ENDINGS = {"done": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}


class Tracker:
    """One parent run in MLflow per invocation, one child run per stage.

    No trouble of MLflow's reaches the benchmark: after the first failure, told once as a warning, reports
    only go to the outbox, from where `sync` sends them later. Where MLflow takes numbers and no files, only files do.

    Parameters
    ----------
    uri
        MLflow tracking URI, such as `default_uri(home.root)`.
    home
        Its outbox takes what MLflow has not confirmed, its locks show that this process lives.
    leave
        Leave all reports in the outbox, for another process to `forward`.

    """

    def __init__(self, uri: str, home: Home, *, leave: bool = False) -> None:
        self._uri = uri
        self._outbox, self._locks = home.outbox, home.locks
        self._outbox_fails = False
        self._mlflow_fails = leave
        self._experiment = self._experiment_id = self._parent_id = ""
        self._files = Files(uri, home.outbox, "")
        self._sign: Lock | None = None

    def start(
        self,
        experiment: str,
        spec: Mapping[str, Any],
        plan: Mapping[str, Any] | str,
        tags: Mapping[str, str] | None = None,
        changes: str = "",
    ) -> None:
        """Open the parent run with the resolved `spec` and the `plan`; end runs of killed processes.

        `changes` follow the experiment in the run's name.
        """
        import yaml

        self._experiment = experiment
        self._files = Files(self._uri, self._outbox, experiment)

        def work(client: "MlflowClient") -> None:
            self._experiment_id = find_or_create_experiment(client, self._uri, experiment)
            close_dead(client, self._experiment_id, self._locks)
            self._parent_id = open_parent(client, self._experiment_id, f"{experiment} {changes}".strip(), tags or {})
            self._sign = signs.give(self._locks, self._parent_id)
            self._log_text(client, "spec.yaml", yaml.safe_dump(_plain(spec), sort_keys=False))
            if isinstance(plan, str):
                self._log_text(client, "plan.txt", plan)
            else:
                self._log_text(client, "plan.json", json.dumps(_plain(plan), indent=1))

        self._try(work)

    def stage(self, report: StageReport) -> None:
        """Log one stage that has ended; `start` comes first."""
        kept = self._keep(report)
        sent = self._try(lambda client: self._log_stage(client, report))
        if sent and kept is not None:
            outbox.remove(kept)

    def waiting(self, experiment: str) -> set[str]:
        """Return the keys of the stages of which other processes, or earlier ones, left reports to `forward`."""
        return set() if self._mlflow_fails else outbox.keys(self._outbox, experiment)

    def forward(self, kind: str, key: str) -> bool:
        """Send the reports that others left of a stage, whose lock is held; tell whether one of its success was there.

        `start` comes first. A report that MLflow has already is only removed.
        """
        confirmed: list[str] = []

        def send(path: Path, report: StageReport, client: "MlflowClient") -> None:
            try:
                if not is_there(client, self._experiment_id, report):
                    self._log_stage(client, report)
            except Exception:
                # Raises where MLflow is away. Otherwise it is this report alone, which `sync` tells of.
                client.get_experiment(self._experiment_id)
                return
            outbox.remove(path)
            confirmed.append(report.status)

        for path in outbox.of_stage(self._outbox, self._experiment, kind, key):
            try:
                report = StageReport.from_json(path.read_bytes())
            except (OSError, ValueError):  # gone, or not to be read: `sync` tells of those
                continue
            self._try(partial(send, path, report))
        return "done" in confirmed

    def finish(
        self,
        status: Literal["done", "failed", "stopped"],
        artifacts: Mapping[str, str],
        figures: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """End the parent run: all cells done, some failed, or stopped early.

        `artifacts` are texts by file name, such as table.md. `figures` draws more of them, such as plots/bars.svg;
        it is called only while MLflow takes reports, and where it fails the run ends without figures.
        """

        def work(client: "MlflowClient") -> None:
            for name, text in artifacts.items():
                self._log_text(client, name, text)
            for name, text in _drawn(figures).items():
                self._log_text(client, name, text)
            client.set_terminated(self._parent_id, status=_ENDINGS[status])

        ended = self._try(work)
        # A run that stays open keeps its sign, which dies with this process: by that it is closed later.
        if ended and self._sign is not None:
            self._sign.release()

    def _log_stage(self, client: "MlflowClient", report: StageReport) -> None:
        log_stage(client, self._experiment_id, self._parent_id, report, self._files)

    def _log_text(self, client: "MlflowClient", name: str, text: str) -> None:
        self._files.log(client, self._parent_id, name, text.encode())

    def _keep(self, report: StageReport) -> Path | None:
        try:
            return outbox.put(self._outbox, self._experiment, report)
        except Exception as error:
            if not self._outbox_fails:
                logger.warning(
                    "cannot keep reports in %s (%s): what MLflow does not take now stays out of MLflow",
                    self._outbox,
                    cause(error),
                )
            self._outbox_fails = True
            return None

    def _try(self, work: Callable[["MlflowClient"], None]) -> bool:
        if self._mlflow_fails:
            return False
        try:
            with connected(self._uri) as client:
                work(client)
        except Exception as error:
            self._mlflow_fails = True
            logger.warning(
                "MLflow at %s takes no reports (%s): the benchmark goes on and nothing is lost, "
                "reports wait in %s for `sepbench sync`",
                without_password(self._uri),
                cause(error),
                self._outbox,
            )
            return False
        return True


class NullTracker:
    """Stands in for `Tracker` where MLflow is not wanted; keeps nothing."""

    def start(
        self,
        experiment: str,
        spec: Mapping[str, Any],
        plan: Mapping[str, Any] | str,
        tags: Mapping[str, str] | None = None,
        changes: str = "",
    ) -> None:
        """Do nothing."""

    def stage(self, report: StageReport) -> None:
        """Do nothing."""

    def waiting(self, experiment: str) -> set[str]:
        """Know of none."""
        return set()

    def forward(self, kind: str, key: str) -> bool:
        """Do nothing."""
        return False

    def finish(
        self,
        status: Literal["done", "failed", "stopped"],
        artifacts: Mapping[str, str],
        figures: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """Do nothing, draw no figures."""


def _drawn(figures: Callable[[], Mapping[str, str]]) -> Mapping[str, str]:
    try:
        return figures()
    except Exception as error:
        logger.warning("the figures for MLflow cannot be drawn (%s): all else is kept", cause(error))
        return {}


def _plain(document: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(document, default=str))
