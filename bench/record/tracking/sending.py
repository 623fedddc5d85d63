"""Sending to MLflow, later and once, what it did not take while the benchmark ran."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from bench.core.errors import SepbenchError
from bench.record.record import Record
from bench.record.tracking import outbox, signs
from bench.record.tracking.address import without_password
from bench.record.tracking.connection import cause, connected
from bench.record.tracking.files import Files, send_file
from bench.record.tracking.rebuilt import kept_records, rebuilt_report, reports_upstream
from bench.record.tracking.report import StageReport
from bench.record.tracking.runs import (
    ENDED,
    RECORD_TAG,
    all_runs,
    close_dead,
    find_or_create_experiment,
    identity,
    log_stage,
    open_parent,
    stage_runs,
)
from bench.store.home import Home
from bench.store.lock import Lock, acquire, owner

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# Writing one run takes seconds; a run open for longer than this belongs to a process that is gone.
_WRITING_SECONDS = 600
_LOCK = "mlflow-sync"


@dataclass(frozen=True)
class SyncResult:
    """How many reports were sent, how many stay in the outbox and why, how many MLflow had already.

    The files that wait for a run count as one report. `again` are those of `sent` that MLflow had lost.
    """

    sent: int
    left: int
    already: int
    again: int = 0
    reason: str | None = None


class _Left(Exception):  # noqa: N818 - not an error: this report stays where it is
    """This report cannot be sent now; others may be."""


class _NoFiles(_Left):
    """MLflow takes no files of this experiment, and need not be asked again."""


def sync(uri: str, home: Home, *, upstream: bool = False) -> SyncResult:
    """Send MLflow every report and file that waits in the home, and the victims of its records that MLflow lacks.

    With `upstream` also the surrogates and protected sets behind these records, as far as the store has them: for a
    server that is new. They stand below one parent run named "sync" per experiment. Can be repeated: a report whose run
    is complete is only removed, a half-written run is written anew. Raises nothing for MLflow's troubles: the result
    tells what stays and why. Of several at once only the first sends.
    """
    if not home.root.is_dir():
        return SyncResult(sent=0, left=0, already=0)
    try:
        alone = acquire(home.locks, _LOCK)
    except SepbenchError:  # a home that cannot be written to can be sent from
        return _sync(uri, home, upstream)
    if alone is None:
        reason = f"another sepbench sync is at it ({owner(home.locks, _LOCK)})"
        return SyncResult(sent=0, left=outbox.count(home.outbox), already=0, reason=reason)
    with alone:
        return _sync(uri, home, upstream)


def _sync(uri: str, home: Home, upstream: bool) -> SyncResult:
    waiting = dict(outbox.waiting(home.outbox))
    done: Counter[str] = Counter()
    unreadable = reason = None
    try:
        kept = kept_records(home)
    except SepbenchError as error:
        kept, unreadable = {}, str(error)
    try:
        for outcome in chain(_send_reports(uri, home, waiting, kept, upstream), _send_all_files(uri, home)):
            if isinstance(outcome, _Left):
                reason = str(outcome)
            else:
                done[outcome] += 1
    except Exception as error:
        reason = f"MLflow at {without_password(uri)} takes no reports: {cause(error)}"
    return SyncResult(
        sent=done["sent"] + done["again"] + done["files"],
        left=outbox.count(home.outbox),
        already=done["already"],
        again=done["again"],
        reason="; ".join(filter(None, (reason, unreadable))) or None,
    )


def _send_reports(
    uri: str, home: Home, waiting: Mapping[str, list[Path]], kept: Mapping[str, list[Record]], upstream: bool
) -> Iterator[str | _Left]:
    for experiment in sorted({*waiting, *kept}):
        with connected(uri) as client:
            try:
                sender = _Sender(client, uri, home, experiment)
                yield from sender.send(waiting.get(experiment, []), kept.get(experiment, []), upstream)
            except Exception as error:
                _ask(client)
                yield _Left(f"the reports of {experiment} are refused: {cause(error)}")


def _send_all_files(uri: str, home: Home) -> Iterator[str | _Left]:
    refused: set[Path] = set()
    for folder in outbox.waiting_files(home.outbox):
        if folder.parent in refused:
            continue
        with connected(uri) as client:
            try:
                _send_files(client, folder)
            except _Left as error:
                refused |= {folder.parent} if isinstance(error, _NoFiles) else set()
                yield error
            except Exception as error:
                _ask(client)
                yield _Left(f"the files in {folder} are refused: {cause(error)}")
            else:
                yield "files"


def _ask(client: "MlflowClient") -> None:
    """Raise where MLflow is away altogether: then nothing more need be tried."""
    client.search_experiments(max_results=1)


class _Sender:
    """What is sent of one experiment."""

    def __init__(self, client: "MlflowClient", uri: str, home: Home, experiment: str) -> None:
        self._client, self._home, self._experiment = client, home, experiment
        self._files = Files(uri, home.outbox, experiment)
        self._experiment_id = find_or_create_experiment(client, uri, experiment)
        self._parent_id: str | None = None
        self._sign: Lock | None = None

    def send(self, paths: list[Path], kept: list[Record], upstream: bool) -> Iterator[str | _Left]:
        """Send reports that wait, then what MLflow lacks of the records; yield what became of each."""
        close_dead(self._client, self._experiment_id, self._home.locks)
        yield from self._send_waiting(paths)
        if upstream:
            yield from self._send_upstream(kept)
        yield from self._send_lost(kept)
        if self._parent_id is not None:
            self._client.set_terminated(self._parent_id)
        # A parent that stays open keeps its sign, which dies with this process: by that it is closed later.
        if self._sign is not None:
            self._sign.release()

    def _send_waiting(self, paths: list[Path]) -> Iterator[str | _Left]:
        runs = stage_runs(self._client, self._experiment_id) if paths else {}
        for path in paths:
            try:
                report = StageReport.from_json(path.read_bytes())
                if _is_complete(self._client, runs.get(identity(report)), path):
                    outcome = "already"
                else:
                    self._log(report)
                    outcome = "sent"
            except _Left as error:
                yield error
            except Exception as error:
                if not path.exists():  # the process that left it has told it since
                    yield "already"
                    continue
                # Raises where MLflow is away: then the other reports need not be tried.
                self._client.get_experiment(self._experiment_id)
                yield _Left(f"{path} is refused: {cause(error)}")
            else:
                outbox.remove(path)
                yield outcome

    def _send_lost(self, kept: list[Record]) -> Iterator[str | _Left]:
        # In this order: what a live run tells in between leaves the outbox only once MLflow has it.
        waiting = outbox.keys(self._home.outbox, self._experiment)
        there = _known(self._client, self._experiment_id)
        for made in kept:
            if made.key in waiting or there(made):
                continue
            try:
                self._log(rebuilt_report(made, self._home))
            except Exception as error:
                self._client.get_experiment(self._experiment_id)
                yield _Left(f"the record {made.key}.json of {self._experiment} is refused: {cause(error)}")
            else:
                yield "again"

    def _send_upstream(self, kept: list[Record]) -> Iterator[str | _Left]:
        there = outbox.keys(self._home.outbox, self._experiment)
        there |= {key for _, key, _ in stage_runs(self._client, self._experiment_id)}
        for report in chain.from_iterable(reports_upstream(made, self._home) for made in kept):
            if report.key in there:
                continue
            there.add(report.key)
            try:
                self._log(report)
            except Exception as error:
                self._client.get_experiment(self._experiment_id)
                yield _Left(f"the {report.kind} {report.key} of {self._experiment} is refused: {cause(error)}")
            else:
                yield "again"

    def _log(self, report: StageReport) -> None:
        if self._parent_id is None:
            self._parent_id = open_parent(self._client, self._experiment_id, "sync", {})
            self._sign = signs.give(self._home.locks, self._parent_id)
        log_stage(self._client, self._experiment_id, self._parent_id, report, self._files)


def _is_complete(client: "MlflowClient", run: "Run | None", path: Path) -> bool:
    if run is None:
        return False
    if run.info.status in ENDED:
        return True
    if run.info.status == "RUNNING" and time.time() - path.stat().st_mtime < _WRITING_SECONDS:
        raise _Left(f"{path} is still being sent by the process that made it: try again in ten minutes")
    client.delete_run(run.info.run_id)
    return False


def _known(client: "MlflowClient", experiment_id: str) -> Callable[[Record], bool]:
    """Return what tells whether MLflow has a record, or one of the same victim that is newer."""
    newest: dict[Any, str] = {}
    unreadable = set()
    for run in all_runs(client, experiment_id, "tags.stage = 'victim'"):
        if run.info.status in ENDED:
            try:
                logged = Record.model_validate_json(run.data.tags.get(RECORD_TAG, ""))
            except ValidationError:  # too long for a tag, or of another version: it is there
                unreadable.add(run.data.tags.get("key"))
            else:
                which = (logged.identity, logged.status)
                newest[which] = max(logged.started, newest.get(which, ""))

    def is_known(made: Record) -> bool:
        started = newest.get((made.identity, made.status), "")
        # A failure that another process met is told by that process, at its own time.
        return made.key in unreadable or (bool(started) and (made.status == "failed" or started >= made.started))

    return is_known


def _send_files(client: "MlflowClient", folder: Path) -> None:
    """Add the files that wait to their run and remove them; raises `_Left` where it has no such run, or `_NoFiles`."""
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(folder.name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise _Left(f"MLflow has no run for the files in {folder}: remove that folder if the run is lost") from error
    if run.info.lifecycle_stage != "active":
        raise _Left(f"the run for the files in {folder} is deleted in MLflow: restore it there, or remove that folder")
    for name, path in outbox.files_of(folder).items():
        try:
            content = path.read_bytes()
        except OSError as error:
            raise _Left(f"{path} cannot be read ({error.strerror}): make it readable or remove it") from error
        try:
            send_file(client, folder.name, name, content)
        except Exception as error:
            client.get_run(folder.name)  # raises where it is MLflow itself that is away
            raise _NoFiles(f"MLflow takes no files such as those in {folder} ({cause(error)})") from error
        outbox.remove(path)
    outbox.remove_empty(folder)
