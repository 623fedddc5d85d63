"""What MLflow has not confirmed yet, reports and files of runs: nothing is lost to a kill or an outage."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote

from bench.core.disk import make_folder, write_atomically
from bench.record.tracking.report import StageReport


def put(outbox: Path, experiment: str, report: StageReport) -> Path:
    """Write `report` to `outbox`/EXPERIMENT/KIND-KEY-STARTED.json, whole or not at all; raises `OSError`.

    Every attempt at a stage has a file of its own.
    """
    path = _folder(outbox, experiment) / f"{report.kind}-{report.key}-{round(report.started * 1000)}.json"
    make_folder(path.parent)
    write_atomically(path, report.to_json())
    return path


def of_stage(outbox: Path, experiment: str, kind: str, key: str) -> list[Path]:
    """Return the files of the reports that wait of a stage."""
    return sorted(_folder(outbox, experiment).glob(f"{kind}-{key}*.json"))


def keys(outbox: Path, experiment: str) -> set[str]:
    """Return the keys of the stages of which reports wait."""
    return {path.stem.split("-")[1] for path in _folder(outbox, experiment).glob("*-*.json")}


def remove(path: Path) -> None:
    """Remove a report that MLflow has confirmed.

    A file that stays is harmless: whoever finds it finds its run in MLflow, too, and sends nothing. Its folder
    stays, as another process may be about to write to it.
    """
    with suppress(OSError):
        path.unlink()


def waiting(outbox: Path) -> Iterator[tuple[str, list[Path]]]:
    """Yield each experiment that has unconfirmed reports, with their files."""
    for folder in sorted(path for path in outbox.glob("*") if path.is_dir()):
        if paths := sorted(folder.glob("*.json")):
            yield unquote(folder.name), paths


def put_file(outbox: Path, experiment: str, run_id: str, name: str, content: bytes) -> None:
    """Write a file that waits for an MLflow run to `outbox`/EXPERIMENT/RUN/NAME, whole or not at all."""
    path = _folder(outbox, experiment) / run_id / name
    try:
        make_folder(path.parent)
        write_atomically(path, content)
    except FileNotFoundError:  # `sync` has just removed the folder, which was empty
        make_folder(path.parent)
        write_atomically(path, content)


def waiting_files(outbox: Path) -> list[Path]:
    """Return the folders of files that wait, each named after an MLflow run."""
    return sorted(path for path in outbox.glob("*/*") if path.is_dir() and files_of(path))


def files_of(folder: Path) -> dict[str, Path]:
    """Return the files of one of `waiting_files` by their names, such as plots/bars.svg."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".tmp")
    return {path.relative_to(folder).as_posix(): path for path in sorted(files)}


def remove_empty(folder: Path) -> None:
    """Remove one of `waiting_files` as far as it is empty: its run may be alive and may have put others there."""
    for below, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):
            Path(below).rmdir()


def count(outbox: Path) -> int:
    """Return how many reports wait, and runs for whose files."""
    return sum(len(paths) for _, paths in waiting(outbox)) + len(waiting_files(outbox))


def _folder(outbox: Path, experiment: str) -> Path:
    return outbox / quote(experiment, safe="")
