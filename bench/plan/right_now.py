"""What a plan meets on the machine just now: other programs, and room on the disk."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.disk import free_bytes
from bench.core.sizes import size_text

_BUSY = 1.25
"""Programs that want to run, for each core, from which on a machine is called busy."""


@dataclass(frozen=True)
class Asked:
    """What the stages that are left of a plan ask of the machine.

    Attributes
    ----------
    device
        Its name, such as `cpu`.
    stages
        How many they are.
    bytes
        Of disk that they take.

    """

    device: str
    stages: int
    bytes: float

    def lines(self, home: Path) -> list[str]:
        """Return what stands in the way just now, a line each."""
        if not self.stages:
            return []
        told, free = [], free_bytes(home)
        if (programs := busy(self.device)) is not None:
            told.append(f"{self.device} is busy now ({programs}): while it is, everything takes longer")
        if self.bytes > free:
            told.append(
                f"the disk has {size_text(free)} left and {size_text(self.bytes)} are needed: free some space "
                f"(sepbench du, sepbench clean), or set SEPBENCH_HOME to another disk"
            )
        return told

    def fields(self, home: Path) -> dict[str, Any]:
        """Return it as JSON: what keeps the device from its usual speed, and the bytes that the disk has left."""
        return {"busy": busy(self.device), "free": free_bytes(home)}


def busy(device: str) -> str | None:
    """Return how busy a CPU is where it is."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    return f"{load:.1f} programs on {cores} cores" if device == "cpu" and load > _BUSY * cores else None
