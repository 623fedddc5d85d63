"""Answers that are kept: given again while what they rest on is as it was, and only then."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.core import file_state
from bench.store.answers import Answer


@pytest.fixture(autouse=True)
def clock_that_tells_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """What these tests write is an instant old."""
    monkeypatch.setattr(file_state, "_COARSEST_CLOCK_NS", -(10**12))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "inner").mkdir(parents=True)
    (folder / "one").write_text("1")
    (folder / "inner" / "two").write_text("2")
    (tmp_path / "aim").write_text("3")
    (folder / "link").symlink_to(tmp_path / "aim")
    (folder / "circle").symlink_to(folder)
    return folder


def answer(data: Path, request: object = "what") -> Answer:
    return Answer(data.parent / "home" / "answers", request, [data, data.parent / "to come"])


def keep(data: Path, further: list[Path]) -> None:
    (data.parent / "home").mkdir(exist_ok=True)
    answer(data).keep({"text": "so"}, further)


def test_an_answer_is_given_again(data: Path) -> None:
    assert answer(data).again() is None
    keep(data, [data.parent / "aim"])
    assert answer(data).again() == {"text": "so"}
    assert answer(data, "else").again() is None


def write(path: str) -> Callable[[Path], object]:
    return lambda top: (top / path).write_text("changed")


def rewrite_quietly(top: Path) -> None:
    before = (top / "data" / "one").stat()
    (top / "data" / "one").write_text("9")
    os.utime(top / "data" / "one", ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES: dict[str, Callable[[Path], object]] = {
    "a file": write("data/one"),
    "a file in a folder": write("data/inner/two"),
    "a file of the same size and time": rewrite_quietly,
    "a new file": write("data/inner/three"),
    "a file that is gone": lambda top: (top / "data" / "one").unlink(),
    "what a link leads to": write("aim"),
    "a file that was to come": write("to come"),
    "a further file": write("further"),
    "a further file that is gone": lambda top: (top / "further").unlink(),
    "a name in a further folder": write("listed/new"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_it_is_not_given_after_a_change_of(change: str, data: Path) -> None:
    (data.parent / "further").write_text("4")
    (data.parent / "listed").mkdir()
    keep(data, [data.parent / "further", data.parent / "listed"])
    assert answer(data).again() is not None
    CHANGES[change](data.parent)
    assert answer(data).again() is None


def test_what_python_compiles_is_no_change(data: Path) -> None:
    (data / "__pycache__").mkdir()
    keep(data, [])
    (data / "__pycache__" / "one.pyc").write_text("compiled")
    assert answer(data).again() is not None


def test_what_changed_a_moment_ago_may_not_be_what_was_read(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_state, "_COARSEST_CLOCK_NS", 2 * 10**9)
    keep(data, [])
    assert not (data.parent / "home" / "answers").exists()


def test_no_home_is_made_for_it(data: Path) -> None:
    answer(data).keep("so")
    assert not (data.parent / "home").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"state": 1, "further": 2, "answer": 3}', "\x00"])
def test_a_damaged_one_is_none(content: str, data: Path) -> None:
    keep(data, [])
    (file,) = (data.parent / "home" / "answers").iterdir()
    file.write_text(content)
    assert answer(data).again() is None
    keep(data, [])
    assert answer(data).again() == {"text": "so"}


def test_the_newest_are_kept_and_nothing_that_was_asked_can_be_read(data: Path) -> None:
    (data.parent / "home").mkdir()
    for number in range(70):
        answer(data, ["a secret", number]).keep(number)
    files = list((data.parent / "home" / "answers").iterdir())
    assert len(files) == 64
    assert answer(data, ["a secret", 69]).again() == 69
    assert answer(data, ["a secret", 0]).again() is None
    assert not [file for file in files if "secret" in file.read_text()]
