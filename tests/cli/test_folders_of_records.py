"""What lies beside records in their folders is passed over, named or left alone, and never a traceback."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from tests.making.asking import Finished, ask, done, refusal

pytestmark = pytest.mark.usefixtures("own_place")


@pytest.fixture
def records(finished: Finished, tmp_path: Path) -> Path:
    """A copy of the records of the tiny experiment."""
    return Path(shutil.copytree(finished.results / "records", tmp_path / "records"))


def test_what_programs_hide_among_records_is_none(records: Path) -> None:
    before = done("table", "tiny.yaml", "--records", records)
    key = next((records / "tiny").glob("*.json")).name
    (records / "tiny" / f"._{key}").write_bytes(b"\0\5\26\7Mac OS X")
    (records / ".ipynb_checkpoints").mkdir()
    shutil.copy(records / "tiny" / key, records / ".ipynb_checkpoints" / "copy.json")
    (records / "tiny" / ".DS_Store").write_bytes(b"\0")
    (records / "tiny" / "notes.json").mkdir()
    assert done("table", "tiny.yaml", "--records", records) == before
    done("leaderboard", "--records", records, "--out", records.parent / "page.html")


@pytest.mark.parametrize("content", [b"", b"[]", b"version https://git-lfs.github.com/spec/v1\n", b"\xff\xfe{\0}\0"])
def test_a_file_that_is_no_record_is_named_by_whatever_reads_it(content: bytes, records: Path) -> None:
    path = records / "tiny" / "a.json"
    path.write_bytes(content)
    assert refusal("table", "tiny.yaml", "--records", records).startswith(f"{path} is not a valid record: ")
    assert refusal("plot", "tiny.yaml", "--records", records, "--kind", "bars").startswith(f"{path} is not a valid")
    answer = ask("leaderboard", "--records", records, "--out", records.parent / "page.html")
    assert (answer.code, answer.err.count("\n")) == (1, 1)
    assert answer.err.startswith(f"sepbench: {path} is not a valid record: ")


def test_a_record_that_leads_nowhere_is_named(records: Path) -> None:
    (records / "tiny" / "a.json").symlink_to("gone.json")
    assert refusal("table", "tiny.yaml", "--records", records) == (
        f"{records}/tiny/a.json cannot be read (No such file or directory): make it readable or remove it"
    )


def test_a_folder_without_records_among_results_is_named(records: Path) -> None:
    (records / "old").mkdir()
    assert refusal("rebuild", "--results", records.parent) == (
        f"{records}/old holds no record: run its experiment with --results, or remove the folder"
    )


def test_a_page_that_the_disk_refuses_leaves_the_old_one_whole(records: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = records.parent / "page.html"
    page.write_text("the old one")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert refusal("leaderboard", "--records", records, "--out", page) == (
        f"{page} cannot be written (No space left on device): name another file with --out"
    )
    assert page.read_text() == "the old one"
    assert sorted(path.name for path in records.parent.iterdir()) == ["page.html", "records"]


@pytest.mark.parametrize("out", ["/", "", "records"])
def test_a_page_that_would_be_a_folder_is_refused(out: str, records: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(records.parent)
    assert refusal("leaderboard", "--records", records, "--out", out) == (
        f"{out or '.'} cannot be written (Is a directory): name another file with --out"
    )


def test_a_path_that_no_system_takes_is_told_in_one_sentence(tmp_path: Path) -> None:
    long = "a" * 300
    answer = ask("plan", long)
    assert answer.code == 2
    assert answer.err == (
        f"sepbench: the system refuses {long} (File name too long): check that path, its disk and its permissions; the "
        f"traceback is in {tmp_path}/home/logs/traceback.log\n"
    )
