"""Whatever becomes of standard output and error, a command does its work and never ends in a traceback."""

import errno
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import numpy as np
import pytest

import bench
from bench.cli.app import cli, main
from bench.cli.streams import Output
from bench.data.loading import load
from bench.data.spec import DatasetSpec
from tests.making.asking import Finished, changed, done, write
from tests.making.experiments import TINY
from tests.making.plugin_sources import dataset
from tests.making.protections import pets

pytestmark = pytest.mark.usefixtures("own_place", "loops_in_forks", "plugins_as_before")

REQUESTS: dict[str, Sequence[str]] = {
    "ls": ["ls", "recipes"],
    "show": ["show", "sep"],
    "plan": ["plan", "tiny.yaml", "--all"],
    "run": ["run", "tiny.yaml"],
    "evaluate": ["evaluate", "{out}.npy", "--clean", "digits", "--plan"],
    "protect": ["protect", "{out}-pictures", "--out", "{out}", "--plan"],
    "check": ["check", "{out}.py"],
    "table": ["table", "tiny.yaml"],
    "diff": ["diff", "tiny", "tiny"],
    "diagnose": ["diagnose", "tiny.yaml", "--checkpoints", "1", "--images", "8", "--no-mlflow"],
    "plot": ["plot", "tiny.yaml", "--kind", "bars", "--out", "{out}"],
    "rebuild": ["rebuild", "--results", "{out}"],
    "export": ["export", "tiny.yaml", "--out", "{out}"],
    "import": ["import", "{out}.sepstate"],
    "leaderboard": ["leaderboard", "--records", "results/records", "--out", "{out}/index.html"],
    "perf": ["perf", "train", "--network", "resnet8", "--images", "8", "--batch", "8", "--precision", "fp32"],
    "du": ["du"],
    "clean": ["clean", "--yes"],
    "verify": ["verify", "{key}", "--experiment", "tiny.yaml", "--devices", "cpu", "--home", "{out}-verified"],
    "doctor": ["doctor"],
    "sync": ["sync"],
}
"""A request of each command that succeeds where the tiny experiment has run."""

every_command = pytest.mark.parametrize(
    "command", [pytest.param(name, marks=pytest.mark.slow if name in ("perf", "verify") else ()) for name in REQUESTS]
)
full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")


def request_of(command: str, folder: Path, finished: Finished) -> list[str]:
    if command == "rebuild":
        (folder / "out" / "records").mkdir(parents=True)
        write_records(finished, folder / "out" / "records" / "quickstart")
    if command == "import":
        done("export", "tiny.yaml", "--state", "--out", folder / "out.sepstate")
    if command == "verify":  # once before: how a run goes is told on the other stream
        done(*(word.format(out=folder / "out", key=finished.keys[0]) for word in REQUESTS[command]))
    if command == "sync":
        pytest.importorskip("mlflow", reason="needs MLflow, which is not installed")
    if command == "evaluate":
        images = load(DatasetSpec.parse("digits")).train.images.numpy()
        np.save(folder / "out.npy", images ^ np.uint8(8))
    if command == "protect":
        pets(folder / "out-pictures")
    if command == "check":
        (folder / "out.py").write_text(dataset(), encoding="utf-8")
    return [word.format(out=folder / "out", key=finished.keys[0]) for word in REQUESTS[command]]


def write_records(finished: Finished, folder: Path) -> None:
    """Write the records of the tiny experiment as if the shipped quickstart had left them."""
    folder.mkdir()
    for key in finished.keys:
        record = json.loads((finished.results / "records" / "tiny" / f"{key}.json").read_text())
        (folder / f"{key}.json").write_text(json.dumps({**record, "experiment": "quickstart", "recipe": "digits"}))


def answered(request_: Sequence[str], out: TextIO | None, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """Run a command that prints to `out`; return its exit code and what it says on standard error."""
    err = io.StringIO()
    code: str | int | None = 0
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        try:
            main(request_)
        except SystemExit as ended:
            code = ended.code
    assert isinstance(code, int)
    return code, err.getvalue()


@contextmanager
def unread_pipe() -> Iterator[TextIO]:
    """Yield the end to write to of a pipe whose other end is closed."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", encoding="utf-8") as out:
        yield out


def test_every_command_has_a_request_here() -> None:
    assert REQUESTS.keys() == {name for name, command in cli.commands.items() if not command.hidden}


@full
@every_command
def test_a_full_disk_below_standard_output_is_one_sentence_and_the_work_is_done(
    command: str, finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_ = request_of(command, tmp_path, finished)
    with Path("/dev/full").open("w", encoding="utf-8") as out:
        code, err = answered(request_, out, monkeypatch)
    assert code == 2
    assert err.splitlines()[-1] == (
        f"sepbench: what was to be printed is not all there, as standard output takes no more "
        f"({os.strerror(errno.ENOSPC)}): finished work is kept; free some space or print elsewhere, and ask again"
    )
    assert err.count("sepbench:") == 1
    assert left(tmp_path / "out") == left_by(command)


@every_command
def test_a_pipe_that_nobody_reads_stops_no_work(
    command: str, finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_ = request_of(command, tmp_path, finished)
    with unread_pipe() as out:
        assert answered(request_, out, monkeypatch) == (0, "")
    assert left(tmp_path / "out") == left_by(command)


@every_command
def test_a_closed_standard_output_stops_no_work(
    command: str, finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert answered(request_of(command, tmp_path, finished), None, monkeypatch) == (0, "")
    assert left(tmp_path / "out") == left_by(command)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@every_command
def test_what_an_encoding_lacks_is_written_so_that_it_can_be_read(
    command: str, encoding: str, finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_ = request_of(command, tmp_path, finished)
    out = io.TextIOWrapper(io.BytesIO(), encoding)
    assert answered(request_, out, monkeypatch) == (0, "")
    out.flush()
    assert isinstance(out.buffer, io.BytesIO)
    text = out.buffer.getvalue().decode(encoding)
    assert text
    assert "?" not in text
    assert "\\" not in text


def left(folder: Path) -> set[str]:
    """Return the kinds of files in a folder."""
    return {path.suffix for path in folder.rglob("*") if path.is_file()}


def left_by(command: str) -> set[str]:
    written = {
        "plot": {".png", ".svg"},
        "export": {".npz"},
        "leaderboard": {".html"},
        "rebuild": {".json", ".md", ".csv", ".svg", ".html"},
    }
    return written.get(command, set())


def test_what_is_missing_is_told_by_the_exit_code_though_nobody_reads(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wider = write(changed(TINY, "seeds: [0]", "seeds: [0, 1]"), str(tmp_path / "tiny.yaml"))
    with unread_pipe() as out:
        code, err = answered(["table", wider, "--strict"], out, monkeypatch)
    assert (code, err) == (1, "sepbench: 3 of 6 runs are missing\n")


def test_json_says_the_same_in_any_encoding(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    for request_ in (["ls", "experiments", "--json"], ["table", "tiny.yaml", "--format", "json"]):
        for encoding in ("ascii", "latin-1"):
            out = io.TextIOWrapper(io.BytesIO(), encoding)
            assert answered(request_, out, monkeypatch) == (0, "")
            assert isinstance(out.buffer, io.BytesIO)
            assert json.loads(out.buffer.getvalue()) == json.loads(done(*request_))


@pytest.mark.parametrize(
    ("text", "encoding", "written"),
    [
        ("38.3 ± 25.5", "ascii", b"38.3 +- 25.5"),
        ("38.3 ± 25.5", "latin-1", b"38.3 \xb1 25.5"),
        ("✓ torch", "latin-1", b"+ torch"),
        ("M\xfcller", "ascii", b"M\\xfcller"),
        ("猫", "latin-1", b"\\u732b"),
        ("caf\udce9", "utf-8", b"caf\\udce9"),
        ("caf\udce9", "ascii", b"caf\\udce9"),
        ("a – b", "utf-16-le", "a – b".encode("utf-16-le")),  # noqa: RUF001
    ],
)
def test_characters_that_cannot_be_written_are_told(text: str, encoding: str, written: bytes) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding)
    Output(out).write(text)
    out.flush()
    assert isinstance(out.buffer, io.BytesIO)
    assert out.buffer.getvalue() == written


def test_a_standard_error_that_takes_nothing_stops_no_work(
    finished_copy: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.StringIO()
    for err in (None, unread_pipe()):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err.__enter__() if err else None)
            main(["run", "tiny.yaml", "--force", "victim", "--only", "method=none", "--no-mlflow"])
    assert out.getvalue().count("| none") == 2


SHELL = {
    ">/dev/full": 2,
    ">&-": 0,
    "2>&-": 0,
    ">&- 2>&- <&-": 0,
    "<&-": 0,
    "| true": 0,
}


@full
@pytest.mark.parametrize("request_", ["--version", "--help", "run --help", "ls methods", "ls methods --json"])
@pytest.mark.parametrize("how", SHELL)
def test_a_real_process_leaves_no_noise(request_: str, how: str) -> None:
    command = f"set -o pipefail; {sys.executable} -m bench {request_} {how}"
    environment = {"PYTHONPATH": str(Path(bench.__file__).parents[1])}
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment, check=False)
    assert ended.returncode == SHELL[how]
    assert ended.stderr.count("\n") == (how == ">/dev/full")
    assert "Error" not in ended.stderr
