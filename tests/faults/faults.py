"""The faults: each makes something go wrong with a sweep, and tells whether it did."""

import os
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.record.tracking import installed
from tests.faults.injections import (
    MISBEHAVIOURS,
    REFUSALS,
    clock_jumps,
    disk_refuses,
    out_of_memory,
    sep_misbehaves,
)
from tests.faults.server import WAYS, server_that
from tests.faults.sweeps import Sweep, injected
from tests.making.alterations import files_of_at_most, in_workers, killed_at_write, save_every_epoch, shards_of
from tests.making.whole_runs import KINDS, Ended, Running

Fault = Callable[[Sweep], bool]
FAULTS: dict[str, Fault] = {}
_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
_OFTEN = (save_every_epoch, shards_of(64))


def fault(function: Fault) -> Fault:
    """Register a fault by what its function is called."""
    FAULTS[function.__name__.replace("_", " ")] = function
    return function


@fault
def driver_gets_a_signal(sweep: Sweep) -> bool:
    run = sweep.sepbench.start(*sweep.command, alter=_OFTEN)
    return _strike(sweep, run, run)


@fault
def driver_is_killed_as_it_writes(sweep: Sweep) -> bool:
    ended = sweep.run(alter=[*_OFTEN, killed_at_write(sweep.rng.randrange(1, 60))])
    return ended.code == -signal.SIGKILL


@fault
def worker_gets_a_signal(sweep: Sweep) -> bool:
    folder = sweep.sepbench.folder / "workers"
    run = sweep.sepbench.start(*sweep.command, "--jobs", "2", alter=[*_OFTEN, in_workers(folder)])
    limit = time.monotonic() + 60
    while not (pids := _pids(folder)) and time.monotonic() < limit and run.is_alive():
        time.sleep(0.01)
    time.sleep(sweep.rng.uniform(0, 0.5))
    struck = run.is_alive() and _send(pids[0], sweep.rng.choice(_SIGNALS)) if pids else False
    run.finish()
    return struck


@fault
def worker_is_killed_as_it_writes(sweep: Sweep) -> bool:
    folder = sweep.sepbench.folder / "workers"
    killed = killed_at_write(sweep.rng.randrange(1, 12))
    ended = sweep.run("--jobs", "2", alter=[*_OFTEN, in_workers(folder, (*_OFTEN, killed))])
    return "ended with -9" in ended.err


@fault
def memory_runs_out(sweep: Sweep) -> bool:
    trouble = out_of_memory(sweep.rng.randrange(1, 60), always=sweep.rng.random() < 0.5)
    ended = sweep.run(alter=[*_OFTEN, trouble])
    assert ended.code in (0, 1), ended.err
    return injected(ended.events)


@fault
def disk_is_full_or_read_only(sweep: Sweep) -> bool:
    trouble = disk_refuses(sweep.rng.choice(REFUSALS), sweep.rng.randrange(1, 60), mends=sweep.rng.random() < 0.3)
    ended = sweep.run(alter=[*_OFTEN, trouble])
    _check_told(ended)
    return injected(ended.events)


@fault
def files_no_longer_fit(sweep: Sweep) -> bool:
    ended = sweep.run(alter=[*_OFTEN, files_of_at_most(sweep.rng.randrange(100, 400_000))])
    _check_told(ended)
    return ended.code != 0


@fault
def artifact_is_damaged(sweep: Sweep) -> bool:
    store = sweep.sepbench.store
    files = [path for kind in KINDS for path in (store.root / kind).rglob("*") if path.is_file()]
    if not files:
        return False
    path = sweep.rng.choice(sorted(files))
    sweep.damaged.add(path.parent.name)
    _damage(sweep, path, [one for one in files if one.suffix == path.suffix and one != path])
    return True


@fault
def anything_else_in_the_home_is_damaged(sweep: Sweep) -> bool:
    store, home = sweep.sepbench.store, sweep.sepbench.home
    if sweep.rng.random() < 0.7:  # drafts, too
        run = sweep.sepbench.start(*sweep.command, alter=_OFTEN)
        _strike(sweep, run, run)
    kept = {store.root / kind for kind in KINDS}
    files = [path for path in home.rglob("*") if path.is_file() and not kept & {*path.parents}]
    path = sweep.rng.choice(sorted(files))
    _damage(sweep, path, [one for one in files if one.suffix == path.suffix and one != path])
    return True


@fault
def two_sweeps_share_the_home_and_one_gets_a_signal(sweep: Sweep) -> bool:
    runs = [sweep.sepbench.start(*sweep.command, alter=_OFTEN) for _ in range(2)]
    struck = _strike(sweep, runs[sweep.rng.randrange(2)], runs[0])
    ended = [run.finish() for run in runs]
    assert not [one.err for one in ended if one.code not in (0, 3, *(-number for number in _SIGNALS))]
    return struck


@fault
def two_sweeps_meet(sweep: Sweep) -> bool:
    runs = [sweep.sepbench.start(*sweep.command, alter=_OFTEN) for _ in range(2)]
    ended = [run.finish() for run in runs]
    assert [one.code for one in ended] == [0, 0], [one.err for one in ended]
    assert [one.table for one in ended] == [sweep.undisturbed.table] * 2
    ran = [label for one in ended for label in one.ran]
    assert len(ran) == len({*ran}), "a stage was done twice"
    return True


@fault
def tracking_server_is_not_well(sweep: Sweep) -> bool:
    with server_that(sweep.rng.choice(WAYS)) as (address, asked):
        environment = {"MLFLOW_TRACKING_URI": address}
        ended = sweep.sepbench.call("run", sweep.sepbench.experiment(), environment=environment)
    assert ended.code == 0, ended.err
    assert ended.table == sweep.undisturbed.table
    assert "Traceback" not in ended.err
    if installed():  # once it is back, another one here, it is told of all that it has missed
        sent = sweep.sepbench.call("sync")
        assert sent.code == 0, sent.err
        back = sweep.sepbench.call("table", sweep.sepbench.experiment(), "--strict")
        assert (back.code, back.out.strip()) == (0, sweep.undisturbed.table), back.err
    return bool(asked)


@fault
def clock_goes_to_and_fro(sweep: Sweep) -> bool:
    ended = sweep.run(alter=[*_OFTEN, clock_jumps(sweep.rng.randrange(2**32))])
    assert ended.code == 0, ended.err
    assert ended.table == sweep.undisturbed.table
    return injected(ended.events)


@fault
def method_misbehaves(sweep: Sweep) -> bool:
    how = sweep.rng.choice(MISBEHAVIOURS)
    ended = sweep.run("--stage-limit", "1h", alter=[*_OFTEN, sep_misbehaves(how)])
    if injected(ended.events):
        assert ended.code == (-signal.SIGKILL if how == "dies" else 1), ended.err
        assert "Traceback" not in ended.err
    return injected(ended.events)


def _strike(sweep: Sweep, run: Running, watched: Running) -> bool:
    """Send a process a signal, and perhaps another one, at a moment between its first note and its end."""
    number, limit = sweep.rng.randrange(1, 25), time.monotonic() + 60
    while len(watched.notes.read()) < number and watched.is_alive() and time.monotonic() < limit:
        time.sleep(0.002)
    time.sleep(sweep.rng.uniform(0, 0.1))
    sent = run.is_alive() and _send(run.pid, sweep.rng.choice(_SIGNALS))
    if sent and sweep.rng.random() < 0.3:
        time.sleep(sweep.rng.uniform(0, 0.05))
        _send(run.pid, sweep.rng.choice(_SIGNALS))
    ended = run.finish()
    assert ended.code in (0, 3, *(-one for one in _SIGNALS)), ended.err
    return sent and ended.code != 0


def _send(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _pids(folder: Path) -> list[int]:
    return sorted(int(path.name) for path in folder.glob("*") if path.name.isdigit())


def _check_told(ended: Ended) -> None:
    """A disk that refuses is a sentence; where it mended, nobody need be told."""
    assert ended.code in (0, 2), ended.err
    assert "Traceback" not in ended.err
    if ended.code == 2:
        assert [line for line in ended.complaints if "cannot write to" in line], ended.err


def _damage(sweep: Sweep, path: Path, others: Sequence[Path]) -> None:
    """Do to a file what disks, copies and people do to files."""
    data = bytearray(path.read_bytes())
    match sweep.rng.choice(("cut", "flip", "empty", "gone", "swap", "longer", "noise")):
        case "flip" if data:
            data[sweep.rng.randrange(len(data))] ^= 1 << sweep.rng.randrange(8)
            path.write_bytes(data)
        case "empty":
            path.write_bytes(b"")
        case "gone":
            path.unlink()
        case "swap" if others:
            other = sweep.rng.choice(sorted(others))
            sweep.damaged.add(other.parent.name)
            aside = path.with_name("aside")
            shutil.move(path, aside)
            shutil.move(other, path)
            shutil.move(aside, other)
        case "longer":
            path.write_bytes(data + sweep.rng.randbytes(sweep.rng.randrange(1, 100)))
        case "noise":
            path.write_bytes(sweep.rng.randbytes(len(data)))
        case _:
            path.write_bytes(data[: sweep.rng.randrange(len(data) + 1)])
