"""What made a result: code, libraries, machine."""

import os
from datetime import UTC, datetime
from functools import cache
from typing import Any

import torch

from bench import __version__
from bench.core.device import stated_precision
from bench.core.git import git


def provenance(device: torch.device, wanted_precision: str = "auto") -> dict[str, Any]:
    """Return the provenance fields of a record for work that starts now on `device`, at a recipe's precision."""
    sha, dirty = _git_state()
    return {
        "version": __version__,
        "git_sha": sha,
        "dirty": dirty,
        "started": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "torch": torch.__version__,
        "device": device_name(device),
        "precision": stated_precision(device, wanted_precision),
        "deterministic": device.type == "cpu",
        "host_cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads() if device.type == "cpu" else None,
    }


def device_name(device: torch.device) -> str:
    """Return "cpu", or the model of a GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


@cache
def _git_state() -> tuple[str | None, bool | None]:
    """Return commit and whether files differ from it, where the package runs from a checkout."""
    sha, changes = git("rev-parse", "HEAD"), git("status", "--porcelain", "--untracked-files=no")
    return (None, None) if sha is None or changes is None else (sha.strip(), bool(changes.strip()))
