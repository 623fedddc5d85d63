"""What Linux has and other systems lack: each has something in its place, or a sentence that says so."""

import ctypes
import errno
import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest

from bench.core.process import pid_space
from bench.engine.memory import keep_freed_memory, peak_memory_mb
from bench.record.tracking import Tracker, default_uri
from bench.store.home import Home
from bench.store.lock import acquire
from tests.making.reports import parents

ROOT = Path(__file__).parents[2]


@pytest.fixture
def without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process find no /proc."""
    for name in ("read_text", "readlink"):
        monkeypatch.setattr(Path, name, hiding_proc(getattr(Path, name)))


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()


def hiding_proc(method: Callable[..., object]) -> Callable[..., object]:
    def look(path: Path, *arguments: object, **named: object) -> object:
        if path.is_relative_to("/proc"):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return method(path, *arguments, **named)

    return look


def lock_of(folder: Path, pid: int, started: int | None) -> None:
    owner = {"host": socket.gethostname(), "pid_space": pid_space(), "pid": pid, "started": started, "token": "theirs"}
    (folder / "stage.lock").write_text(json.dumps(owner))


def is_free(folder: Path) -> bool:
    lock = acquire(folder, "stage")
    if lock is not None:
        lock.release()
    return lock is not None


@pytest.mark.usefixtures("without_proc")
def test_without_proc_a_live_owner_keeps_its_lock(tmp_path: Path) -> None:
    lock = acquire(tmp_path, "stage")
    assert lock is not None
    assert not is_free(tmp_path)
    lock.release()
    assert is_free(tmp_path)


@pytest.mark.usefixtures("without_proc")
def test_without_proc_a_dead_owner_loses_its_lock(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    lock_of(tmp_path, sleeper.pid, started=None)
    assert not is_free(tmp_path)
    sleeper.kill()
    sleeper.wait()
    assert is_free(tmp_path)


@pytest.mark.usefixtures("without_proc")
def test_without_proc_a_later_process_of_the_same_number_is_not_the_owner(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    lock_of(tmp_path, sleeper.pid, started=int(time.time()) - 86_400)
    assert is_free(tmp_path)


@pytest.mark.usefixtures("without_proc")
@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
def test_without_proc_a_lock_says_when_its_owner_started(
    zone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    lock = acquire(tmp_path, "stage")
    assert lock is not None
    started = json.loads((tmp_path / "stage.lock").read_bytes())["started"]
    lock.release()
    assert 0 <= time.time() - started < 86_400


@pytest.mark.usefixtures("without_proc")
def test_where_nothing_tells_when_a_process_started_its_number_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sleeper: subprocess.Popen[bytes]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no ps either
    lock_of(tmp_path, sleeper.pid, started=1)
    assert not is_free(tmp_path)


@pytest.mark.usefixtures("mlflow")
@pytest.mark.usefixtures("without_proc")
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")
def test_without_proc_a_run_of_a_live_process_stays_open_in_mlflow(tmp_path: Path) -> None:
    uri = default_uri(tmp_path)
    for _ in range(2):
        Tracker(uri, Home(tmp_path)).start("quick", {}, "")
    assert [run.info.status for run in parents(uri)] == ["RUNNING", "RUNNING"]


@pytest.mark.usefixtures("mlflow")
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")
def test_a_disk_without_hard_links_takes_mlflows_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*arguments: object) -> NoReturn:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(os, "link", link)
    Tracker(default_uri(tmp_path), Home(tmp_path)).start("quick", {}, "")
    assert len(parents(default_uri(tmp_path))) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["locks", "mlartifacts", "mlflow.db"]


def test_another_c_library_is_not_asked_to_keep_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    assert not keep_freed_memory()


def test_on_a_mac_no_c_library_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: object) -> NoReturn:
        raise AssertionError("looked for a C library")

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", none)
    assert not keep_freed_memory()


@pytest.mark.parametrize(("platform", "counted"), [("linux", 300 * 2**10), ("darwin", 300 * 2**20)])
def test_peak_memory_is_in_mib_wherever_it_was_counted(
    platform: str, counted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=counted))
    assert peak_memory_mb() == 300


def test_peak_memory_is_between_what_is_held_and_what_the_machine_has() -> None:
    held = bytearray(2**28)
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**20
    assert len(held) / 2**20 <= peak_memory_mb() <= machine


@pytest.mark.parametrize("request_", [[], ["--help"], ["run", "quickstart"]], ids=" ".join)
def test_windows_gets_one_sentence_before_anything_that_it_lacks_is_imported(request_: list[str]) -> None:
    code = (
        "import sys\n"
        "sys.modules.update(fcntl=None, resource=None)\n"  # importing them raises ImportError, as it does there
        "import bench.cli\n"
        "sys.platform = 'win32'\n"
        "bench.cli.main(sys.argv[1:])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *request_], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("sepbench: ")
    assert "WSL 2" in done.stderr
    assert done.stderr.count("\n") == 1


def test_no_two_files_differ_by_case_alone() -> None:
    """The disk of a Mac holds only one of them."""
    packages = [ROOT / name for name in ("bench", "methods", "victims", "tests")]
    paths = [path.relative_to(ROOT).as_posix() for one in packages for path in one.rglob("*") if path.is_file()]
    assert len({path.lower() for path in paths}) == len(paths)
