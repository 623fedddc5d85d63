"""Writing files: what a disk refuses is one sentence, what is no file is written to as it stands."""

import errno
import os
import stat
from pathlib import Path

import pytest

from bench.core.disk import DiskError, is_temporary, temporary_beside, write_atomically, writing


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free some space or raise the limit, then run the same command again: it goes on from here"),
        (errno.EDQUOT, "free some space or raise the limit, then run the same command again: it goes on from here"),
        (errno.EROFS, "make it writable for this user, or set --out to a folder that is"),
        (errno.EIO, "check that disk, or set --out to another folder"),
        (errno.ENAMETOOLONG, "set --out to a folder with a shorter path"),
    ],
)
def test_what_a_disk_refuses_is_told_with_what_to_do(number: int, advice: str) -> None:
    with pytest.raises(DiskError) as caught, writing(Path("there"), "--out"):
        raise OSError(number, os.strerror(number))
    assert str(caught.value) == f"cannot write to there ({os.strerror(number)}): {advice}"


def test_an_error_without_a_number_is_told_as_it_is() -> None:
    with pytest.raises(DiskError, match=r"cannot write to there \(encoder error\): "), writing(Path("there")):
        raise OSError("encoder error")


def test_a_name_may_be_as_long_as_a_disk_takes(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    write_atomically(path, b"all of it")
    assert path.read_bytes() == b"all of it"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        (".0badcafe.tmp", True),
        (".a.png.0badcafe.tmp", True),  # of earlier versions
        (".mine.tmp", False),
        ("0badcafe.tmp", False),
        (".0badcafe.tmp2", False),
    ],
)
def test_only_names_that_a_write_gives_are_temporary_ones(name: str, ours: bool) -> None:
    assert is_temporary(name) is ours


def test_the_name_that_a_write_gives_is_a_temporary_one() -> None:
    assert is_temporary(temporary_beside(Path("there/a.png")).name)


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_atomically(path, b"all of it")
        assert os.read(reading, 100) == b"all of it"
    finally:
        os.close(reading)
    assert stat.S_ISFIFO(path.stat().st_mode)
    assert list(tmp_path.iterdir()) == [path]
