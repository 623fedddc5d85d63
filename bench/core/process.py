"""Which process this is, and whether another one still lives."""

import calendar
import os
import socket
import subprocess
import time
from pathlib import Path


def host() -> str:
    """Return the name of this machine."""
    return socket.gethostname()


def is_alive(pid: int, started: int | None) -> bool:
    """Tell whether a process of this machine is there, and not a later one of the same number.

    Parameters
    ----------
    pid
        Its number.
    started
        When it started, as `started_at` returns it; None where nobody knows: then the number decides.

    """
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # somebody else's process is a process too
    state, since = _state(pid)
    if state in ("Z", "X"):
        return False
    return None in (since, started) or since == started


def started_at(pid: int) -> int | None:
    """Return when a process started, counted as this system does; None where nothing tells."""
    return _state(pid)[1]


def pid_space() -> str:
    """Return what tells the process numbers that can be looked up here from those of other machines and containers.

    That is this boot of the system and the container's namespace, as containers and copied machines share host names.
    Where there is no /proc, it is the host's name.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return host()


def _state(pid: int) -> tuple[str | None, int | None]:
    """Return a process's state letter and when it started, counted as this system does; None where nothing tells."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return _state_by_ps(pid)
    fields = stat.rpartition(")")[2].split()  # the program's name, in brackets, may hold spaces
    return fields[0], int(fields[19])


def _state_by_ps(pid: int) -> tuple[str | None, int | None]:
    """Return the same, the start in seconds since 1970, where there is no /proc, as on macOS."""
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    words = ["ps", "-o", "stat=", "-o", "lstart=", "-p", str(pid)]
    try:
        told = subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout
        state, started = told.strip().split(maxsplit=1)
        return state[0], calendar.timegm(time.strptime(started, "%a %b %d %H:%M:%S %Y"))
    except (OSError, subprocess.CalledProcessError, ValueError):
        return None, None
