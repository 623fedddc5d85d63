"""Two users of one group share a home: what one begins the other takes over, and what one leaves the other replaces."""

import ctypes
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.making.alterations import hold
from tests.making.process_notes import Notes
from tests.making.whole_runs import Sepbench, Undisturbed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root can be other users"),
]

GROUP, ALICE, BOB = 41000, 41001, 41002
_KEEP_CAPABILITIES, _THIRD_VERSION, _READ_ALL = 8, 0x20080522, 1 << 2  # of linux/prctl.h and linux/capability.h


@dataclass(frozen=True)
class as_user:  # noqa: N801
    """Be another user, of the shared group, who lets the group write.

    All can be read, as the interpreter may lie where only root looks; nothing can be written that this user may not.
    """

    uid: int

    def __call__(self, notes: Notes) -> None:
        os.umask(0o002)
        os.setgroups([GROUP])
        os.setgid(self.uid)
        system = ctypes.CDLL(None, use_errno=True)
        assert system.prctl(_KEEP_CAPABILITIES, 1, 0, 0, 0) == 0
        os.setuid(self.uid)
        told = (ctypes.c_uint32 * 2)(_THIRD_VERSION, 0), (ctypes.c_uint32 * 6)(_READ_ALL, _READ_ALL)
        assert system.capset(*told) == 0, os.strerror(ctypes.get_errno())
        own = Path(os.environ["SEPBENCH_HOME"]).parent / f"user-{self.uid}"
        own.mkdir(exist_ok=True)
        os.environ["HOME"] = str(own)


@pytest.fixture
def shared() -> Iterator[Sepbench]:
    """The command in a home that belongs to the group, as `chmod g+ws` makes it."""
    folder = Path(tempfile.mkdtemp(prefix="sepbench-shared-"))  # pytest's own folders are of one user
    folder.chmod(0o777)
    home = folder / "home"
    home.mkdir()
    os.chown(home, ALICE, GROUP)
    home.chmod(0o2770)
    mask = os.umask(0)  # what the command prints goes to files that root makes
    yield Sepbench(folder)
    os.umask(mask)
    shutil.rmtree(folder)


def owners(home: Path) -> set[int]:
    return {path.stat().st_uid for path in home.rglob("*")}


def test_the_work_of_one_user_is_taken_over_by_another(shared: Sepbench, undisturbed: Undisturbed) -> None:
    file = shared.experiment()
    first = shared.start("run", file, alter=[hold("surrogate", 0.3), as_user(ALICE)])
    first.wait_for("held")
    second = shared.start("run", file, alter=[as_user(BOB)])
    second.wait_for("waiting")
    first.kill()
    ended = second.finish()
    assert ended.code == 0, ended.err
    assert ended.table == undisturbed.table
    assert shared.outcomes() == undisturbed.outcomes
    assert owners(shared.home) == {ALICE, BOB}
    assert {path.stat().st_gid for path in shared.home.rglob("*")} == {GROUP}
    closed = [path for path in shared.home.rglob("*") if not path.stat().st_mode & stat.S_IWGRP]
    assert closed == [], "the group cannot write to it"
    back = shared.call("run", file, alter=[as_user(ALICE)])
    assert (back.code, back.table, back.complaints) == (0, ended.table, ended.complaints), back.err


def test_what_another_user_left_is_replaced_and_removed(shared: Sepbench, undisturbed: Undisturbed) -> None:
    file = shared.experiment()
    assert shared.call("run", file, "--no-mlflow", alter=[as_user(ALICE)]).code == 0
    (crafted, *_) = (shared.home / "store" / "craft").glob("*/*")
    (crafted / "protected.safetensors").write_bytes(b"short")
    again = shared.call("run", file, "--no-mlflow", "--force", "victim", alter=[as_user(BOB)])
    assert again.code == 0, again.err
    assert "set aside the craft artifact" in again.err
    assert again.table == undisturbed.table
    shutil.rmtree(shared.home / "records")
    cleaned = shared.call("clean", "--yes", alter=[as_user(ALICE)])
    assert cleaned.code == 0, cleaned.err
    assert not list((shared.home / "store").glob("*/*/*/meta.json"))
