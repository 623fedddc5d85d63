"""Reports that MLflow has not confirmed yet, one file each: nothing is lost to a kill or an outage."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote

from bench.tracking.report import StageReport


def put(outbox: Path, experiment: str, report: StageReport) -> Path:
    """Write `report` to `outbox`/EXPERIMENT/KIND-KEY.json, whole or not at all; raises `OSError`."""
    path = path_of(outbox, experiment, report.kind, report.key)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".tmp")
    with unfinished.open("wb") as file:
        file.write(report.to_json())
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    return path


def path_of(outbox: Path, experiment: str, kind: str, key: str) -> Path:
    """Return where the report of a stage waits, if it does."""
    return outbox / quote(experiment, safe="") / f"{kind}-{key}.json"


def remove(path: Path) -> None:
    """Remove a report that MLflow has confirmed, and its folder with the last one.

    A file that stays is harmless: `sepbench sync` finds its run and sends nothing.
    """
    with suppress(OSError):
        path.unlink()
        path.parent.rmdir()


def waiting(outbox: Path) -> Iterator[tuple[str, list[Path]]]:
    """Yield each experiment that has unconfirmed reports, with their files."""
    for folder in sorted(path for path in outbox.glob("*") if path.is_dir()):
        if paths := sorted(folder.glob("*.json")):
            yield unquote(folder.name), paths
