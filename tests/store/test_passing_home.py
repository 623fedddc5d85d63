"""Homes of a machine for the time of one run: private, shared by the processes of a run, never left behind."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bench.core.errors import SepbenchError
from bench.store.passing_home import passing_home, remove_passing_home

USING = (
    "import sys; from bench.store.passing_home import passing_home; print(passing_home(sys.argv[1]).root, flush=True)"
)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    passing_home.cache_clear()
    return tmp_path / f"sepbench-nodes-{os.getuid()}"


class Using:
    """Another process with a home of this name."""

    def __init__(self, name: str, temporary: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"{USING}; sys.stdin.read()", name],
            env={**os.environ, "TMPDIR": str(temporary.parent), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.root = Path(self._process.stdout.readline().strip())

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


def test_a_home_is_for_its_user_alone(temporary: Path) -> None:
    assert passing_home("one").root == temporary / "one"
    assert temporary.stat().st_mode & 0o777 == 0o700


def test_processes_of_one_run_share_a_home_and_what_a_killed_run_left_goes_with_the_next_one(temporary: Path) -> None:
    first, second = Using("one", temporary), Using("one", temporary)
    assert first.root == second.root == temporary / "one"
    (first.root / "kept").touch()
    first.kill()
    passing_home("two")
    assert (temporary / "one" / "kept").exists()
    second.kill()
    passing_home("three")
    assert sorted(path.name for path in temporary.iterdir() if path.is_dir()) == ["three", "two"]


def test_a_home_is_removed_at_the_end_of_its_run_whoever_uses_it_and_others_only_once_nobody_does(
    temporary: Path,
) -> None:
    left, used = Using("left", temporary), Using("used", temporary)
    passing_home("mine")
    left.kill()
    remove_passing_home("mine")
    assert [path.name for path in temporary.iterdir() if path.is_dir()] == ["used"]
    used.kill()


def test_a_folder_that_others_could_have_prepared_is_not_used(temporary: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    temporary.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SepbenchError, match="is not this user's alone: remove it, or set TMPDIR"):
        passing_home("one")
    temporary.unlink()
    temporary.mkdir()
    temporary.chmod(0o777)
    with pytest.raises(SepbenchError, match="is not this user's alone"):
        passing_home("one")
