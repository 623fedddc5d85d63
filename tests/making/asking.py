"""Asking the command for something in this process, as a person would at a terminal."""

import io
import os
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from bench.cli.app import main

_PROGRAMMERS_WORDS = (
    "Traceback",
    "Error",
    "input should",
    "valid integer",
    "valid string",
    "valid tuple",
    "dictionary",
    "instance of",
    "validation",
    "None",
    "True",
    "object at 0x",
)


@dataclass(frozen=True)
class Answer:
    """What a command printed and its exit code."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Finished:
    """The tiny experiment, run once: its folder holds tiny.yaml, home/ and results/."""

    folder: Path
    answer: Answer

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def keys(self) -> list[str]:
        return sorted(path.stem for path in (self.results / "records" / "tiny").glob("*.json"))


def ask(*arguments: str | Path) -> Answer:
    """Run one command."""
    out, err = io.StringIO(), io.StringIO()
    code: str | int | None = 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main([str(one) for one in arguments])
        except SystemExit as ended:
            code = ended.code
    assert isinstance(code, int)
    return Answer(code, out.getvalue(), err.getvalue())


def done(*arguments: str | Path) -> str:
    """Run a command that must succeed and return what it printed."""
    answer = ask(*arguments)
    assert answer.code == 0, answer.err
    return answer.out


def refusal(*arguments: str | Path) -> str:
    """Run a command that must be refused: one line, exit code 2, nothing printed or written. Return the sentence."""
    home = Path(os.environ["SEPBENCH_HOME"])
    before = _state(home)
    answer = ask(*arguments)
    assert answer.code == 2, answer
    assert answer.out == ""
    assert answer.err.startswith("sepbench: ")
    assert answer.err.endswith("\n")
    sentence = answer.err.removeprefix("sepbench: ")[:-1]
    assert "\n" not in sentence
    assert not [word for word in _PROGRAMMERS_WORDS if word in sentence], sentence
    assert _state(home) == before, "a request that was refused has changed the home"
    return sentence


def changed(text: str, old: str, new: str) -> str:
    """Return `text` with one passage replaced."""
    assert text.count(old) == 1, f"{old!r} must stand once in the text"
    return text.replace(old, new)


def write(text: str, name: str = "tiny.yaml") -> str:
    """Write an experiment into the working directory and return its name."""
    Path(name).write_text(text, encoding="utf-8")
    return name


def _state(folder: Path) -> dict[str, tuple[int, int]]:
    if not folder.is_dir():
        return {}
    found = {path: path.stat() for path in [folder, *folder.rglob("*")]}
    return {str(path): (state.st_size, state.st_mtime_ns) for path, state in found.items()}
