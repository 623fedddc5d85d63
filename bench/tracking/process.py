"""Which process writes an MLflow run, and whether it still lives."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path

HOST, PID, STARTED = "sepbench.host", "sepbench.pid", "sepbench.process_started"


def own_tags() -> dict[str, str]:
    """Return the tags that name this process: host, process id, start time."""
    pid = os.getpid()
    return {HOST: socket.gethostname(), PID: str(pid), STARTED: _started(pid) or ""}


def is_dead(tags: Mapping[str, str]) -> bool:
    """Tell whether the process that `tags` name is gone; the host they name must be this one."""
    return _started(int(tags[PID])) != tags.get(STARTED)


def _started(pid: int) -> str | None:
    """Return when `pid` started, in kernel ticks; "" where the system does not tell, None if it is dead."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # The command's name stands in brackets and may hold spaces; state is the first field after it.
    fields = status.rpartition(")")[2].split()
    return None if fields[0] == "Z" else fields[19]
