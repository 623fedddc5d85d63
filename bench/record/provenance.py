"""What made a result: code, libraries, machine."""

import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import torch

from bench import __version__
from bench.core.device import stated_precision
from bench.core.git import git

_CPUINFO = Path("/proc/cpuinfo")
_GENERATION = {"family": "cpu family", "model": "model", "implementer": "CPU implementer", "part": "CPU part"}
"""What numbers of a processor are called here, and where Linux tells of them."""


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
        "processor": processor_name() if device.type == "cpu" else None,
    }


def device_name(device: torch.device) -> str:
    """Return "cpu", or the model of a GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def machine_name(device: torch.device) -> str:
    """Return the model of the processor, or of a GPU: sums on another one differ in their last bits."""
    return processor_name() if device.type == "cpu" else device_name(device)


def machine_of(origin: Mapping[str, Any]) -> str | None:
    """Return the model of the processor or GPU that `provenance` told of; None of a CPU that it did not name."""
    processor: str | None = origin.get("processor")
    return processor or (None if origin["device"] == "cpu" else origin["device"])


@cache
def processor_name() -> str:
    """Return the model of this machine's processor and the widest instructions that torch uses of it."""
    told = dict[str, str]()
    with suppress(OSError, UnicodeDecodeError):  # there is no such file but on Linux
        lines = _CPUINFO.read_text(encoding="utf-8").partition("\n\n")[0].splitlines()
        told = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    model = told.get("model name") or platform.processor() or platform.machine()
    # A virtual machine may call processors of several generations by one name.
    numbers = [f"{what} {told[field]}" for what, field in _GENERATION.items() if field in told]
    return ", ".join([" ".join(model.split()), *numbers, torch.backends.cpu.get_cpu_capability()])


@cache
def _git_state() -> tuple[str | None, bool | None]:
    """Return commit and whether files differ from it, where the package runs from a checkout."""
    sha, changes = git("rev-parse", "HEAD"), git("status", "--porcelain", "--untracked-files=no")
    return (None, None) if sha is None or changes is None else (sha.strip(), bool(changes.strip()))
