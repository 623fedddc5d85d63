"""An output folder is one protection's and one run's: it is claimed, gone on with, or refused as it is."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import SepbenchError
from bench.data.originals import Originals, Output, open_originals
from tests.making.pictures import changed, claimed, protect, put, tree, write_all
from tests.making.tiny_data import complaint


def killed_after(originals: Originals, out: Path, count: int) -> None:
    writer = claimed(originals, out, protection="a key")
    for index in range(count):
        picture = originals.picture(index)
        writer.write(index, picture, changed(picture.rgb))
    writer.release()


def test_a_killed_run_goes_on_and_comes_to_the_same(pets: Path, tmp_path: Path) -> None:
    originals = open_originals(pets)
    protect(originals, tmp_path / "whole", protection="a key")
    killed_after(originals, tmp_path / "out", 2)
    writer = claimed(originals, tmp_path / "out", protection="a key")
    assert [writer.done(index) is not None for index in range(5)] == [True, True, False, False, False]
    first = writer.done(0)
    assert first is not None
    assert first.measured == {"linf": 3, "l2": pytest.approx(3 * np.sqrt(12 * 9 * 3) / 255)}
    write_all(originals, writer)
    writer.finish()
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_a_picture_that_is_damaged_or_gone_is_written_again(pets: Path, tmp_path: Path) -> None:
    originals = open_originals(pets)
    killed_after(originals, tmp_path / "out", 3)
    (tmp_path / "out/cat/1.png").write_bytes(b"damaged")
    (tmp_path / "out/cat/grey.png").unlink()
    writer = claimed(originals, tmp_path / "out", protection="a key")
    assert [writer.done(index) is not None for index in range(3)] == [False, True, False]
    write_all(originals, writer)
    writer.finish()
    protect(originals, tmp_path / "whole", protection="a key")
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_a_torn_line_of_the_journal_costs_one_picture(pets: Path, tmp_path: Path) -> None:
    originals = open_originals(pets)
    killed_after(originals, tmp_path / "out", 2)
    (journal,) = (tmp_path / "out").glob(".*")
    journal.write_bytes(journal.read_bytes()[:-40])
    writer = claimed(originals, tmp_path / "out", protection="a key")
    assert [writer.done(index) is not None for index in range(2)] == [True, False]
    picture = originals.picture(1)
    writer.write(1, picture, changed(picture.rgb))
    writer.release()
    again = claimed(originals, tmp_path / "out", protection="a key")
    assert [again.done(index) is not None for index in range(2)] == [True, True]


def test_a_line_of_the_journal_that_somebody_changed_costs_one_picture(pets: Path, tmp_path: Path) -> None:
    originals = open_originals(pets)
    killed_after(originals, tmp_path / "out", 3)
    (journal,) = (tmp_path / "out").glob(".*")
    lines = journal.read_text().replace('"linf": 3', '"linf": 4', 1).split("\n")
    (last,) = (index for index, line in enumerate(lines) if originals.names[2] in line)
    lines[last] = lines[last].replace(', "l2": ', ', "l3": ')
    journal.write_text("\n".join(lines))
    writer = claimed(originals, tmp_path / "out", protection="a key")
    assert [writer.done(index) is not None for index in range(3)] == [False, True, False]


HOLDS = """
import sys
from pathlib import Path
from bench.data.originals import open_originals
from tests.making.pictures import claimed
writer = claimed(open_originals(Path(sys.argv[1])), Path(sys.argv[2]), protection="a key")
print("holds it", flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_a_folder_that_another_process_writes_to_is_refused_until_it_ends(pets: Path, tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", HOLDS, str(pets), str(tmp_path / "out")]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"holds it\n"
        before = tree(tmp_path / "out")
        message = complaint(claimed, open_originals(pets), tmp_path / "out", protection="a key")
        assert message == f"another run is writing to {tmp_path}/out: wait for it, or give another folder"
        assert tree(tmp_path / "out") == before
        other.kill()
    protect(open_originals(pets), tmp_path / "out", protection="a key")


def test_a_folder_that_was_let_go_is_taken_by_the_next(pets: Path, tmp_path: Path) -> None:
    first = claimed(open_originals(pets), tmp_path / "out", protection="a key")
    assert "another run is writing" in complaint(claimed, open_originals(pets), tmp_path / "out", protection="a key")
    first.release()
    protect(open_originals(pets), tmp_path / "out", protection="a key")


@pytest.mark.parametrize(
    ("left", "content"),
    [
        (".sepbench-unfinished.jsonl", b""),
        (".sepbench-unfinished.jsonl", b'{"protection": "0'),
        ("..sepbench-unfinished.jsonl.0badcafe.tmp", b'{"protection": "0'),
        (".0badcafe.tmp", b""),
    ],
)
def test_what_is_left_of_a_run_that_was_killed_at_once_is_in_nobodys_way(
    pets: Path, tmp_path: Path, left: str, content: bytes
) -> None:
    originals = open_originals(pets)
    protect(originals, tmp_path / "whole", protection="a key")
    put(tmp_path / "out", {left: content})
    protect(originals, tmp_path / "out", protection="a key")
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_looking_at_a_folder_does_not_make_it(pets: Path, tmp_path: Path) -> None:
    output = Output(tmp_path / "out", protection="a key")
    open_originals(pets).writer(output)
    assert not (tmp_path / "out").exists()
    put(tmp_path / "out", {"mine.txt": b"mine"})
    assert "it has mine.txt" in complaint(open_originals(pets).writer, output)


@pytest.mark.parametrize(("key", "form"), [("another", "png"), ("a key", "jpeg")])
def test_the_unfinished_output_of_another_protection_is_refused(
    pets: Path, tmp_path: Path, key: str, form: str
) -> None:
    (pets / "dog/1.webp").unlink()
    originals = open_originals(pets)
    killed_after(originals, tmp_path / "out", 2)
    before = tree(tmp_path / "out")
    message = complaint(claimed, originals, tmp_path / "out", form, protection=key)
    assert message.startswith(f"{tmp_path}/out holds the unfinished output of another protection")
    assert tree(tmp_path / "out") == before


def test_a_folder_that_is_not_empty_is_refused_a_finished_output_too(pets: Path, tmp_path: Path) -> None:
    originals = open_originals(pets)
    protect(originals, tmp_path / "out", protection="a key")
    assert complaint(claimed, originals, tmp_path / "out", protection="a key") == (
        f"{tmp_path}/out is not empty, it has cat: give a folder that is not there yet, or is empty"
    )


def test_an_empty_folder_is_taken(pets: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    protect(open_originals(pets), tmp_path / "out", protection="a key")
    assert len(tree(tmp_path / "out")) == 5


def test_a_file_where_the_folder_should_be_is_refused(pets: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    assert "is a file" in complaint(claimed, open_originals(pets), tmp_path / "out")


@pytest.mark.parametrize("out", ["pets", "pets/cat", "pets/new/deeper", "link", "link/new"])
def test_nothing_is_written_among_the_originals(pets: Path, tmp_path: Path, out: str) -> None:
    (tmp_path / "link").symlink_to(pets)
    before = tree(pets)
    assert "never touched" in complaint(claimed, open_originals(pets), tmp_path / out)
    assert tree(pets) == before


def test_a_folder_that_cannot_be_made_is_one_sentence(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(self: Path, *options: object, **more: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", closed)
    assert complaint(claimed, open_originals(pets), tmp_path / "out") == (
        f"cannot write to {tmp_path}/out (Permission denied): make it writable for this user, or set --out to a folder "
        f"that is"
    )


def test_what_a_kill_leaves_of_a_file_is_gone_at_the_end(pets: Path, tmp_path: Path) -> None:
    originals = open_originals(pets)
    killed_after(originals, tmp_path / "out", 2)
    put(tmp_path / "out", {"cat/.grey.png.0badcafe.tmp": b"half"})
    writer = claimed(originals, tmp_path / "out", protection="a key")
    write_all(originals, writer)
    writer.finish()
    assert [*tree(tmp_path / "out")] == [*map(str, writer.files)]


def test_a_picture_that_cannot_be_written_leaves_nothing_half(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    originals = open_originals(pets)
    writer = claimed(originals, tmp_path / "out")

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    picture = originals.picture(0)
    with pytest.raises(SepbenchError, match="free some space"):
        writer.write(0, picture, picture.rgb)
    assert [*tree(tmp_path / "out")] == [".sepbench-unfinished.jsonl"]
