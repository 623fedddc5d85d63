"""Several processes on one machine, which share the work of one run through the locks of their home."""

import logging
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch

from bench.core.disk import make_folder, writing
from bench.core.errors import SepbenchError
from bench.plan.plan import Plan
from bench.run.assignment import Assignment
from bench.run.executors.executor import Workplace
from bench.run.stopping import Stop
from bench.store.home import Home

_LOG = logging.getLogger("sepbench")
_GRACE_SECONDS = 600.0  # an epoch or a shard of the largest experiments; what is killed loses only that
_EXPECTED = {0, 3, -signal.SIGTERM}  # done, also where cells failed; stopped; stopped before it could stop by itself


@contextmanager
def workers(at_most: int, plan: Plan, place: Workplace) -> Iterator[None]:
    """Let a process for each of `place.further` work on a plan beside this one; they are waited for at the end.

    They read what they have to do from files in the home.

    Parameters
    ----------
    at_most
        How many processes have something to do, with this one.

    """
    with ExitStack() as stack:
        devices = place.further[: max(at_most - 1, 0)]
        files = {
            device: stack.enter_context(Assignment.of(plan, place, device).handed_over(place.home))
            for device in dict.fromkeys(devices)
        }
        commands = [["work", str(files[device])] for device in devices]
        stack.enter_context(further_processes(commands, place.home, place.device, place.stop))
        yield


@contextmanager
def further_processes(
    commands: Sequence[Sequence[str]], home: Home, device: torch.device, stop: Stop
) -> Iterator[None]:
    """Let processes run beside this one that are stopped and waited for at the end.

    An interrupt ends them at once. On a CPU all of them divide the threads that this one would take, unless
    OMP_NUM_THREADS is set.

    Parameters
    ----------
    commands
        Arguments of `sepbench` for each. What a worker prints goes to a file in `home.logs`.
    device
        Of this process, of which kind those of the others are.
    stop
        Asks the workers for a stop when this process is asked.

    Raises
    ------
    SepbenchError
        The folder for the logs cannot be made, or the system starts no more processes.

    """
    if not commands:
        yield
        return
    count = 1 + len(commands)
    before = torch.get_num_threads()
    environment = {**os.environ, "SEPBENCH_HOME": str(home.root), "PYTHONPATH": os.pathsep.join(sys.path)}
    if device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        threads = max(1, before // count)
        torch.set_num_threads(threads)
        environment["OMP_NUM_THREADS"] = str(threads)
    name = f"{os.getpid()}-{secrets.token_hex(4)}"  # in containers that share a home, process numbers repeat
    started: dict[Path, subprocess.Popen[bytes]] = {}
    try:
        with writing(home.logs):
            make_folder(home.logs)
        for number, arguments in enumerate(commands, 2):
            log = home.logs / f"job-{name}-{number}.log"
            try:
                started[log] = _start(arguments, environment, log)
            except OSError as error:
                raise SepbenchError(
                    f"cannot start {count} processes ({error.strerror}): give a smaller --jobs"
                ) from error
        stop.when_asked.append(lambda: _ask(started.values()))
        try:
            yield
        except Exception:  # no interrupt: that waits for nothing
            if running := sum(process.poll() is None for process in started.values()):
                others = "1 further process" if running == 1 else f"{running} further processes"
                print(f"waiting for {others} to reach a safe point", file=sys.stderr, flush=True)
            _end(started.values())
            raise
        _end(started.values())
    finally:
        torch.set_num_threads(before)
        for log, process in started.items():
            if process.poll() is None:
                process.kill()
                process.wait()
            elif process.returncode not in _EXPECTED:
                _LOG.warning(
                    "a process of --jobs ended with %d, what it had finished stays: see %s", process.returncode, log
                )


def stop_with_parent() -> None:
    """Ask this process to stop once its standard input ends: its parent closed it, or is gone, however it went."""

    def watch() -> None:
        while os.read(0, 1):  # not sys.stdin, whose lock this thread would hold when Python ends
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="end of the parent", daemon=True).start()


def _start(arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> "subprocess.Popen[bytes]":
    with writing(log):
        file = log.open("wb")
    with file:
        return subprocess.Popen(
            # -P: what lies in the working directory is no module of ours.
            [sys.executable, "-P", "-m", "bench", *arguments],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            start_new_session=True,  # Ctrl-C is for the parent, which passes it on: twice would be an interrupt
        )


def _ask(processes: Iterable["subprocess.Popen[bytes]"]) -> None:
    """Ask for a stop at the next safe point; harmless when repeated."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()


def _end(processes: Collection["subprocess.Popen[bytes]"]) -> None:
    _ask(processes)
    limit = time.monotonic() + _GRACE_SECONDS
    for process in processes:
        try:
            process.wait(limit - time.monotonic())
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
