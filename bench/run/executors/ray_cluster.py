"""A Ray cluster for the time of one run: one that is there already, or one of this machine alone."""

import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, chdir, contextmanager, suppress
from pathlib import Path
from typing import Any

import ray
from ray._private import ray_constants

from bench.core.disk import make_folder, writing
from bench.core.errors import SepbenchError
from bench.run.executors.ray_request import Resources
from bench.store import lock

_CONNECT_SECONDS = 5.0
_END_SECONDS = 10.0
_OBJECT_STORE_BYTES = 100 * 2**20  # stages exchange keys: what is large lies in the home
_MARK = "SEPBENCH_RAY"
"""The variable by which the processes of a cluster of ours are found: Ray renames them."""


@contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """Be connected to the cluster at `address`, or as RAY_ADDRESS says; without either start one on this machine.

    One that is started listens on the loopback interface alone, asks for a token, and leaves nothing behind: where it
    was killed with this process, the next one removes what is left of it.

    Raises
    ------
    SepbenchError
        Nothing answers at the address, or Ray cannot start here.

    """
    address = address or os.environ.get("RAY_ADDRESS") or None
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with ExitStack() as stack:
        if address is None:
            folder = stack.enter_context(_own_folder())
            stack.enter_context(_variables(_for_processes_of(folder)))
            stack.enter_context(_loopback())
            print("starting Ray on this machine", file=sys.stderr, flush=True)
        else:
            host = _check_answers(address)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            if host in ("localhost", "127.0.0.1"):
                stack.enter_context(_loopback())
        with chdir(folder):  # which workers search for modules
            _init(address, folder)
        stack.callback(ray.shutdown)
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():  # Ray has set its own
                signal.signal(number, handler)
        yield


def nodes() -> list[Resources]:
    """Return what each node has that is there now."""
    untyped: Any = ray
    return [node["Resources"] for node in untyped.nodes() if node["Alive"]]


def _init(address: str | None, folder: Path) -> None:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    own: dict[str, Any] = {
        "include_dashboard": False,
        "object_store_memory": _OBJECT_STORE_BYTES,
        "_temp_dir": str(folder),
    }
    try:
        ray.init("local", **own, **quiet) if address is None else ray.init(address, **quiet)
    except Exception as error:
        ray.shutdown()
        said = next(iter(str(error).strip().splitlines()), type(error).__name__)
        where = "on this machine" if address is None else f"at {address}"
        raise SepbenchError(
            f"Ray {where} does not work ({said}): see A cluster in README.md, or leave --executor out"
        ) from error


def _check_answers(address: str) -> str | None:
    """Return the host of an address; raises `SepbenchError` where nothing answers: Ray would wait for minutes."""
    if address == "auto":
        return None
    host, colon, port = address.rpartition(":")
    if not (colon and port.isdigit()) or "/" in host:
        raise SepbenchError(f"--address {address}: write HOST:PORT, as ray start --head prints it")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS):
            return host
    except (OSError, OverflowError) as error:
        said = getattr(error, "strerror", None) or error
        raise SepbenchError(f"no Ray cluster answers at {address} ({said}): start one with ray start --head") from error


@contextmanager
def _loopback() -> Iterator[None]:
    """Let Ray listen on 127.0.0.1 alone, as it does on a Mac; an address given to it would be replaced."""
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def _for_processes_of(folder: Path) -> dict[str, str]:
    """Return the environment of a cluster in a folder, to which a token of its own is written."""
    token = folder / "token"
    with os.fdopen(os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(32))
    return {
        _MARK: str(folder),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_task_oom_retries": "1",  # else what does not fit into memory is begun again for ever
    }


@contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    # Ray decides by itself on the mode of its tokens: once it is imported it takes no notice of this variable.
    before = {name: os.environ.get(name) for name in (*values, "RAY_AUTH_MODE")}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _own_folder() -> Iterator[Path]:
    """Yield an empty folder of a short name, as those of sockets may have about 100 bytes; gone at the end."""
    short = Path("/tmp")
    root = (short if short.is_dir() else Path(tempfile.gettempdir())) / f"sepbench-ray-{os.getuid()}"
    with writing(root):
        make_folder(root)
        root.chmod(0o700)  # fails where it is somebody else's
    _remove_the_dead(root)
    name = secrets.token_hex(4)
    held = lock.acquire(root, name)
    assert held is not None
    with held:
        folder = root / name
        folder.mkdir(0o700)
        try:
            yield folder
        finally:
            _remove(folder)


def _remove_the_dead(root: Path) -> None:
    """Remove what clusters have left whose drivers were killed."""
    for folder in root.iterdir():
        if folder.is_dir() and not lock.is_held(root, folder.name):
            _remove(folder)
            (root / f"{folder.name}.lock").unlink(missing_ok=True)


def _remove(folder: Path) -> None:
    """End the processes of a cluster, which had their time, and remove its folder."""
    limit = time.monotonic() + _END_SECONDS
    while left := list(processes_of(folder)):
        for pid in left:
            if time.monotonic() > limit or not lock.is_held(folder.parent, folder.name):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    shutil.rmtree(folder, ignore_errors=True)


def processes_of(folder: Path) -> Iterator[int]:
    """Yield the processes, of this user, of the cluster in a folder; none where there is no /proc."""
    mark = f"{_MARK}={folder}".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        pid = int(path.parent.name)
        with suppress(OSError):
            if pid != os.getpid() and mark in path.read_bytes().split(b"\0"):
                state = (path.parent / "stat").read_text().rpartition(")")[2].split()[0]
                if state != "Z":
                    yield pid
