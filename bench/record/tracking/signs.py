"""Signs of life of processes that have runs open in MLflow: locks in the home."""

from collections.abc import Iterator
from pathlib import Path

from bench.core.errors import SepbenchError
from bench.store import lock


def give(locks: Path, run_id: str) -> lock.Lock | None:
    """Show that this process lives until the lock is released; None where it cannot, such as on a full disk."""
    try:
        return lock.acquire(locks, _name(run_id))
    except SepbenchError:
        return None


def is_alive(locks: Path, run_id: str) -> bool | None:
    """Tell whether the process that opened the run lives; None where it gave no sign in this home."""
    if not (locks / f"{_name(run_id)}.lock").exists():
        return None
    try:
        return lock.is_held(locks, _name(run_id))
    except SepbenchError:
        return None


def clear(locks: Path, run_ids: Iterator[str]) -> None:
    """Remove the signs that dead processes have left."""
    for run_id in run_ids:
        left = give(locks, run_id) if is_alive(locks, run_id) is False else None
        if left is not None:
            left.release()


def _name(run_id: str) -> str:
    return f"mlflow-{run_id}"
