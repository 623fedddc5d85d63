"""The records of an experiment from MLflow, and from the home those that MLflow does not have."""

import logging
from collections.abc import Iterator
from pathlib import Path

from bench.core.errors import SepbenchError
from bench.core.heard import LASTING
from bench.record.record import Record, read_record
from bench.record.tracking import NotLogged, Unreadable, default_uri, installed
from bench.record.tracking import records as records_in_mlflow
from bench.store.home import Home

_LOG = logging.getLogger("sepbench")


def logged_or_kept(experiment: str, variant: str, home: Home) -> list[Record]:
    """Return what MLflow and the home know of an experiment, of two records of a victim the newer one.

    Of those in the home only what `Experiment.variant` calls so.

    A warning says what MLflow lacks. Raises `SepbenchError` where neither knows the experiment.
    """
    folder = home.records(experiment, variant)
    try:
        logged = records_in_mlflow(default_uri(home.root), experiment)
    except NotLogged:
        if not any(folder.parent.rglob("*.json")):
            raise
        if not installed():  # nobody misses there what nobody could have sent
            return list(_kept(folder, set()))
        logged = []
    except Unreadable as error:
        kept = list(_kept(folder, set()))
        if not kept:
            raise
        _LOG.warning("%s: read instead were %s of %s in %s", error.what, _counted(len(kept)), experiment, folder)
        return kept
    known = {one.identity: one for one in logged}
    newer = {
        one.identity: one
        for one in _kept(folder, {one.key for one in logged})
        if one.identity not in known or known[one.identity].started < one.started
    }
    # A failure that another process met is told by that process: `sync` sends one of each victim.
    failed = {one.identity for one in logged if one.status == "failed"}
    lacking = [one for one in newer.values() if one.status != "failed" or one.identity not in failed]
    if lacking:
        _LOG.warning(
            "MLflow lacks %s of %s, read from %s: sepbench sync sends what it lacks",
            _counted(len(lacking)),
            experiment,
            folder,
            extra=LASTING,
        )
    return [*(known | newer).values()]


def _kept(folder: Path, logged: set[str]) -> Iterator[Record]:
    for path in sorted(folder.glob("*.json")):
        try:
            yield read_record(path)
        except SepbenchError as error:
            if path.stem not in logged:
                _LOG.warning("%s", error, extra=LASTING)


def _counted(number: int) -> str:
    return "1 record" if number == 1 else f"{number} records"
