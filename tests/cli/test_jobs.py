"""Further processes of `run --jobs`: their share of the threads, what they print, and their end."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from bench import __version__
from bench.errors import SepbenchError
from bench.executors import jobs
from bench.executors.jobs import run_again, workers
from bench.home import Home
from bench.stopping import Stop

CPU = torch.device("cpu")
VERSION = f"sepbench, version {__version__}"


@pytest.fixture(autouse=True)
def _threads_are_not_set(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(8)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def in_every_worker(code: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let the processes that this one starts run `code` before all else."""
    (folder / "sitecustomize.py").write_text(code)
    monkeypatch.syspath_prepend(str(folder))


def printed(home: Home) -> list[str]:
    return [path.read_text() for path in sorted(home.logs.iterdir())]


TELL_THREADS = "import os; print(os.environ.get('OMP_NUM_THREADS'))"


@pytest.mark.parametrize(("threads", "count", "each"), [(8, 2, 4), (8, 3, 2), (2, 3, 1)])
def test_processes_on_a_cpu_divide_its_threads(
    threads: int, count: int, each: int, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(threads)
    in_every_worker(TELL_THREADS, monkeypatch, tmp_path)
    with workers(count, ["--version"], home, CPU, Stop()):
        assert torch.get_num_threads() == each
    assert torch.get_num_threads() == threads
    assert [text.splitlines() for text in printed(home)] == [[str(each), VERSION]] * (count - 1)


def test_threads_that_the_user_has_set_stay(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    in_every_worker(TELL_THREADS, monkeypatch, tmp_path)
    with workers(2, ["--version"], home, CPU, Stop()):
        assert torch.get_num_threads() == 8
    assert [text.splitlines() for text in printed(home)] == [["3", VERSION]]


def test_threads_of_processes_on_a_gpu_stay(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_every_worker(TELL_THREADS, monkeypatch, tmp_path)
    with workers(2, ["--version"], home, torch.device("cuda"), Stop()):
        assert torch.get_num_threads() == 8
    assert [text.splitlines() for text in printed(home)] == [["None", VERSION]]


def test_one_job_starts_nothing(home: Home) -> None:
    with workers(1, ["--version"], home, CPU, Stop()):
        assert torch.get_num_threads() == 8
    assert not home.root.exists()


def test_a_worker_finds_our_modules_and_none_in_the_working_directory(home: Home) -> None:
    Path("bench.py").write_text("print('somebody else')")
    with workers(2, ["--version"], home, CPU, Stop()):
        pass
    assert printed(home) == [f"{VERSION}\n"]


def test_a_worker_that_does_not_stop_is_killed(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(jobs, "_GRACE_SECONDS", 0.0)
    monkeypatch.setattr(logging.getLogger("sepbench"), "propagate", True)
    in_every_worker("import time; time.sleep(3600)", monkeypatch, tmp_path)
    with workers(2, ["--version"], home, CPU, Stop()):
        pass
    assert "a process of --jobs ended with -9, and others did its work: see " in caplog.text


def test_a_worker_that_breaks_down_is_told_of_unless_the_run_did_too(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger("sepbench"), "propagate", True)
    with pytest.raises(SepbenchError), workers(2, ["frobnicate"], home, CPU, Stop()):
        raise SepbenchError("the data set cannot be read")
    assert caplog.text == ""
    with workers(2, ["frobnicate"], home, CPU, Stop()):
        pass
    assert "a process of --jobs ended with 2, and others did its work: see " in caplog.text
    assert "no such command 'frobnicate'" in Path(caplog.records[0].getMessage().rpartition("see ")[2]).read_text()


def test_a_worker_gets_the_options_of_its_run() -> None:
    given = {"--set": ("seeds=[0]", "table.title=a b"), "--profile": None, "--only": (), "--devices": "cpu"}
    assert run_again("tiny.yaml", {**given, "--time-limit": "9m", "--no-mlflow": True}) == [
        *("run", "--worker", "--set", "seeds=[0]", "--set", "table.title=a b", "--devices", "cpu"),
        *("--time-limit", "9m", "--no-mlflow", "--", "tiny.yaml"),
    ]
    assert run_again("tiny.yaml", {"--no-mlflow": False}) == ["run", "--worker", "--", "tiny.yaml"]
