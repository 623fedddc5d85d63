"""Locks: one live owner at a time, a dead one is replaced, nobody removes another's."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import SepbenchError
from bench.core.process import pid_space
from bench.store.lock import Lock, acquire, owner
from tests.making.forks import FORKS


def contend(folder: Path, rounds: int, together: Barrier, answers: Connection) -> None:
    slow_down_renaming()
    for n in range(rounds):
        together.wait(timeout=60)
        lock = acquire(folder, f"stage-{n}")
        answers.send(lock is not None)
        together.wait(timeout=60)  # the winner holds on until all have tried
    answers.close()


def slow_down_renaming() -> None:
    """Widen the gap between looking at a lock and taking it, through which a rival would slip."""
    rename = Path.replace

    def slow(path: Path, target: Path) -> Path:
        time.sleep(0.05)
        return rename(path, target)

    Path.replace = slow  # type: ignore[method-assign, assignment]


def hold(folder: Path, ready: Connection) -> None:
    acquire(folder, "stage")
    ready.send(os.getpid())
    threading.Event().wait()


def write_lock(folder: Path, age: float = 0.0, **changes: Any) -> Path:
    """Write a lock as another process would have, `age` seconds ago."""
    path = folder / "stage.lock"
    path.write_text(json.dumps({"host": "elsewhere", "pid": 1, "started": 1, "token": "theirs"} | changes))
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def ended_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def start(work: Callable[..., None], *arguments: Any) -> BaseProcess:
    child = FORKS.Process(target=work, args=arguments, daemon=True)
    child.start()
    arguments[-1].close()  # so that a child that fails ends the wait for its answer
    return child


def winners(folder: Path, rounds: int, rivals: int = 4) -> list[int]:
    """Let several processes try for each of `rounds` locks at once; return how many got each."""
    together = FORKS.Barrier(rivals)
    pipes = [FORKS.Pipe(duplex=False) for _ in range(rivals)]
    children = [start(contend, folder, rounds, together, end) for _, end in pipes]
    counts = [sum(answers.recv() for answers, _ in pipes) for _ in range(rounds)]
    for child in children:
        child.join()
    return counts


@pytest.mark.slow
def test_of_several_processes_exactly_one_gets_a_lock(tmp_path: Path) -> None:
    assert winners(tmp_path, rounds=5) == [1] * 5


@pytest.mark.slow
def test_of_several_processes_exactly_one_takes_over_a_dead_owners_lock(tmp_path: Path) -> None:
    dead = ended_pid()
    for n in range(5):
        write_lock(tmp_path, pid_space=pid_space(), pid=dead).rename(tmp_path / f"stage-{n}.lock")
    assert winners(tmp_path, rounds=5) == [1] * 5


def test_of_several_threads_exactly_one_gets_a_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "replace", Path.replace)  # put back at the end
    slow_down_renaming()
    together, locks = threading.Barrier(8), []

    def take() -> None:
        together.wait()
        locks.append(acquire(tmp_path, "stage"))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winning = [lock for lock in locks if lock is not None]
    assert (len(winning), len(locks)) == (1, 8)
    winning[0].release()


@pytest.mark.slow
def test_a_live_owner_keeps_the_lock_and_a_killed_one_loses_it(tmp_path: Path) -> None:
    ready, end = FORKS.Pipe(duplex=False)
    child = start(hold, tmp_path, end)
    pid = ready.recv()
    os.utime(tmp_path / "stage.lock", (0, 0))  # on this host the process counts, not its heartbeat
    assert acquire(tmp_path, "stage") is None
    assert owner(tmp_path, "stage") == f"{socket.gethostname()} pid {pid}"
    child.kill()
    child.join()
    lock = acquire(tmp_path, "stage")
    assert lock is not None
    lock.release()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_killed_owner_that_nobody_waited_for_is_dead(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    wait_for(lambda: Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z")
    write_lock(tmp_path, pid_space=pid_space(), pid=child.pid, started=None)
    lock = acquire(tmp_path, "stage")
    child.wait()
    assert lock is not None
    lock.release()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_process_that_was_given_the_dead_owners_number_is_not_the_owner(tmp_path: Path) -> None:
    write_lock(tmp_path, pid_space=pid_space(), pid=os.getpid(), started=1)
    lock = acquire(tmp_path, "stage")
    assert lock is not None
    lock.release()


@pytest.mark.skipif(not Path("/proc/self/ns/pid").exists(), reason="needs /proc")
@pytest.mark.parametrize("differs", ["boot", "namespace", "all"])
def test_what_shares_this_hosts_name_and_not_its_processes_is_judged_by_its_heartbeat(
    differs: str, tmp_path: Path
) -> None:
    """Containers of one host name, copies of one machine, this machine before it was started again."""
    boot, namespace = pid_space().split()
    spaces = {"boot": f"another-boot {namespace}", "namespace": f"{boot} pid:[1]", "all": None}
    there: dict[str, Any] = {"host": socket.gethostname(), "pid": ended_pid(), "pid_space": spaces[differs]}
    write_lock(tmp_path, **there)
    assert acquire(tmp_path, "stage") is None
    write_lock(tmp_path, age=3600, **there)
    lock = acquire(tmp_path, "stage")
    assert lock is not None
    lock.release()


def test_a_machine_that_was_given_another_name_knows_its_own_processes(tmp_path: Path) -> None:
    write_lock(tmp_path, host="renamed", pid_space=pid_space(), pid=ended_pid())
    lock = acquire(tmp_path, "stage")
    assert lock is not None
    lock.release()


def test_an_owner_elsewhere_lives_as_long_as_its_heartbeat(tmp_path: Path) -> None:
    path = write_lock(tmp_path, age=30)
    assert acquire(tmp_path, "stage", stale_after=60) is None
    assert owner(tmp_path, "stage") == "elsewhere pid 1"
    assert json.loads(path.read_text())["token"] == "theirs"
    lock = acquire(tmp_path, "stage", stale_after=20)
    assert lock is not None
    lock.release()


def test_the_heartbeat_renews_the_lock_while_it_is_held(tmp_path: Path) -> None:
    with held(tmp_path, heartbeat=0.01):
        path = tmp_path / "stage.lock"
        os.utime(path, (0, 0))
        wait_for(lambda: path.stat().st_mtime > time.time() - 3600)


def test_the_heartbeat_leaves_the_next_owners_lock_to_its_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with held(tmp_path, heartbeat=0.01):
        path = write_lock(tmp_path, age=3600)
        wait_for(lambda: "taken over" in caplog.text)
        assert path.stat().st_mtime < time.time() - 1800


def test_releasing_a_lock_that_was_lost_leaves_it_to_the_new_owner(tmp_path: Path) -> None:
    lock = held(tmp_path)
    path = write_lock(tmp_path)
    lock.release()
    assert json.loads(path.read_text())["token"] == "theirs"


def test_a_released_lock_can_be_had_again_and_leaves_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        with held(tmp_path) as lock:
            assert acquire(tmp_path, "stage") is None
        lock.release()
        assert owner(tmp_path, "stage") is None
    assert [path.name for path in tmp_path.iterdir()] == [".guard"]


def test_a_failing_stage_gives_its_lock_back(tmp_path: Path) -> None:
    with suppress(ZeroDivisionError), held(tmp_path):
        _ = 1 / 0
    assert owner(tmp_path, "stage") is None


def test_locks_of_different_names_do_not_meet(tmp_path: Path) -> None:
    with held(tmp_path), held(tmp_path, name="other"):
        pass


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"host": "x"}', '{"host": "x", "token": "y", "pid": 0}'])
def test_an_unreadable_lock_is_given_the_time_of_a_heartbeat(tmp_path: Path, text: str) -> None:
    path = tmp_path / "stage.lock"
    path.write_text(text)
    assert acquire(tmp_path, "stage") is None
    assert owner(tmp_path, "stage") == "an unknown process"
    os.utime(path, (0, 0))
    held(tmp_path).release()


def test_a_folder_that_cannot_be_made_is_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SepbenchError, match=r"cannot write to .*file/locks .*SEPBENCH_HOME"):
        acquire(tmp_path / "file" / "locks", "stage")


def test_a_lock_outlives_the_removal_of_its_folder(tmp_path: Path) -> None:
    lock = held(tmp_path / "locks")
    for path in (tmp_path / "locks").iterdir():
        path.unlink()
    (tmp_path / "locks").rmdir()
    lock.release()


def held(folder: Path, name: str = "stage", heartbeat: float = 10.0) -> Lock:
    lock = acquire(folder, name, heartbeat=heartbeat)
    assert lock is not None
    return lock
