"""Further processes of `run --jobs`: their share of the threads, what they print, and their end."""

import errno
import io
import json
import logging
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import __version__
from bench.api import METHODS
from bench.core.errors import SepbenchError, Stopped
from bench.plan.make import plan_experiment
from bench.run.assignment import Assignment
from bench.run.executors import jobs
from bench.run.executors.executor import Workplace
from bench.run.executors.jobs import further_processes
from bench.run.progress import Clock, PlainProgress
from bench.run.stopping import Stop
from bench.spec.experiment import Experiment
from bench.spec.file import experiment_names, load_experiment
from bench.store.home import Home
from tests.making.asking import ask, write
from tests.making.experiments import TINY

pytestmark = [pytest.mark.usefixtures("own_place"), pytest.mark.slow]

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
    with further_processes([["--version"]] * (count - 1), home, CPU, Stop()):
        assert torch.get_num_threads() == each
    assert torch.get_num_threads() == threads
    assert [text.splitlines() for text in printed(home)] == [[str(each), VERSION]] * (count - 1)


def test_threads_that_the_user_has_set_stay(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    in_every_worker(TELL_THREADS, monkeypatch, tmp_path)
    with further_processes([["--version"]], home, CPU, Stop()):
        assert torch.get_num_threads() == 8
    assert [text.splitlines() for text in printed(home)] == [["3", VERSION]]


def test_threads_of_processes_on_a_gpu_stay(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_every_worker(TELL_THREADS, monkeypatch, tmp_path)
    with further_processes([["--version"]], home, torch.device("cuda"), Stop()):
        assert torch.get_num_threads() == 8
    assert [text.splitlines() for text in printed(home)] == [["None", VERSION]]


def test_one_job_starts_nothing(home: Home) -> None:
    with further_processes([], home, CPU, Stop()):
        assert torch.get_num_threads() == 8
    assert not home.root.exists()


def test_a_worker_finds_our_modules_and_none_in_the_working_directory(home: Home) -> None:
    Path("bench.py").write_text("print('somebody else')")
    with further_processes([["--version"]], home, CPU, Stop()):
        pass
    assert printed(home) == [f"{VERSION}\n"]


SLEEP = "import time; time.sleep(3600)"


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """What is logged for the person."""
    monkeypatch.setattr(logging.getLogger("sepbench"), "propagate", True)
    return caplog


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that are started."""
    started = []
    start = subprocess.Popen

    def note(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(start(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", note)
    return started


def test_a_worker_that_does_not_stop_is_killed(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(jobs, "_GRACE_SECONDS", 0.0)
    in_every_worker(SLEEP, monkeypatch, tmp_path)
    with further_processes([["--version"]], home, CPU, Stop()):
        pass
    assert "a process of --jobs ended with -9, what it had finished stays: see " in told.text


def test_a_run_that_stops_says_that_it_waits_for_its_workers(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(jobs, "_GRACE_SECONDS", 0.0)
    in_every_worker(SLEEP, monkeypatch, tmp_path)
    with pytest.raises(Stopped), further_processes([["--version"], ["--version"]], home, CPU, Stop()):
        raise Stopped("stopped by Ctrl-C")
    assert capsys.readouterr().err == "waiting for 2 further processes to reach a safe point\n"


def test_an_interrupt_waits_for_no_worker_and_takes_its_end_for_no_breakdown(
    home: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    told: pytest.LogCaptureFixture,
    processes: list[subprocess.Popen[bytes]],
) -> None:
    in_every_worker(SLEEP, monkeypatch, tmp_path)
    with pytest.raises(KeyboardInterrupt), further_processes([["--version"]], home, CPU, Stop()):
        raise KeyboardInterrupt
    assert [process.returncode for process in processes] == [-signal.SIGKILL]
    assert told.text == ""


@pytest.mark.parametrize("end", [None, Stopped("stopped by Ctrl-C"), SepbenchError("the disk is full")])
def test_a_worker_that_breaks_down_is_told_of_however_the_run_ends(
    end: Exception | None, home: Home, told: pytest.LogCaptureFixture
) -> None:
    with suppress(Stopped, SepbenchError), further_processes([["frobnicate"]], home, CPU, Stop()):
        if end is not None:
            raise end
    assert "a process of --jobs ended with 2, what it had finished stays: see " in told.text
    assert "no such command 'frobnicate'" in Path(told.records[0].getMessage().rpartition("see ")[2]).read_text()


def test_a_traceback_is_a_breakdown(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: pytest.LogCaptureFixture
) -> None:
    in_every_worker("import os; os._exit(1)", monkeypatch, tmp_path)  # what Python ends with after one
    with further_processes([["--version"]], home, CPU, Stop()):
        pass
    assert "a process of --jobs ended with 1, " in told.text


def test_processes_that_the_system_refuses_end_the_run_and_those_it_gave(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: list[subprocess.Popen[bytes]]
) -> None:
    in_every_worker(SLEEP, monkeypatch, tmp_path)
    start = subprocess.Popen

    def refuse_a_second(*arguments: Any, **options: Any) -> Any:
        if processes:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return start(*arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", refuse_a_second)
    with (
        pytest.raises(SepbenchError) as refused,
        further_processes([["--version"], ["--version"], ["--version"]], home, CPU, Stop()),
    ):
        pytest.fail("it runs")
    assert str(refused.value) == ("cannot start 4 processes (Resource temporarily unavailable): give a smaller --jobs")
    assert [process.returncode for process in processes] == [-signal.SIGKILL]


def test_cells_that_fail_are_no_breakdown_of_a_worker_and_it_times_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> Any:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(METHODS.get("random-noise"), "craft", fail)
    monkeypatch.setattr(jobs, "stop_with_parent", lambda: None)
    command = ("run", write(TINY), "--no-mlflow", "--only", "method=random-noise")
    assert ask(*command).code == 1
    monkeypatch.setattr("bench.plan.outlook.Estimator", fail)
    home = Home.find()
    plan = plan_experiment(load_experiment("tiny.yaml"), home.cards, lambda cell: cell.method.name == "random-noise")
    place = Workplace(home, CPU, display(), Stop(), tell=False)
    with Assignment.of(plan, place, CPU).handed_over(home) as file:
        worker = ask("work", str(file))
    assert worker.code == 0
    assert "1 of 1 cells failed" in worker.err


def test_two_runs_of_one_process_number_give_their_workers_files_of_their_own(home: Home) -> None:
    """In containers that share a home, process numbers repeat."""
    plan = plan_experiment(load_experiment(write(TINY)), home.cards, lambda cell: cell.method.name == "none")
    places = [Workplace(home, CPU, display(), Stop(), tell=tell) for tell in (True, False)]
    one, other = (Assignment.of(plan, place, CPU) for place in places)
    with one.handed_over(home) as first:
        with other.handed_over(home) as second:
            assert (Assignment.read(first), Assignment.read(second)) == (one, other)
        assert Assignment.read(first) == one


def display() -> PlainProgress:
    return PlainProgress([], Clock([], lambda stage: 0.0), io.StringIO())


def test_a_run_gives_its_workers_all_that_was_asked_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[int, Assignment]] = []

    def note(commands: Sequence[Sequence[str]], *rest: object) -> AbstractContextManager[None]:
        ((command, file),) = commands
        assert command == "work"
        given.append((1 + len(commands), Assignment.read(Path(file))))
        raise SepbenchError("that is enough")

    monkeypatch.setattr(jobs, "further_processes", note)
    options = ["--set", "recipe.epochs=3", "--set", "seeds=[0]", "--profile", "small", "--only", "method=random-noise"]
    options += ["--devices", "cpu", "--time-limit", "9m", "--no-mlflow", "--compile"]
    file = write(TINY + "profiles:\n  small:\n    dataset.limit: 40\n")
    assert "that is enough" in ask("run", file, *options, "--jobs", "2").err
    ((count, told),) = given
    assert (count, told.device, told.compile, told.tell) == (2, "cpu", True, False)
    assert told.seconds is not None
    assert 500 < told.seconds <= 540
    asked = load_experiment("tiny.yaml", profile="small", overrides=["recipe.epochs=3", "seeds=[0]"])
    assert Experiment.model_validate(told.experiment).model_dump(mode="json") == asked.model_dump(mode="json")
    cards = Home.find().cards
    expected = plan_experiment(asked, cards, lambda cell: cell.method.name == "random-noise")
    assert list(told.plan(Home.find()).stages) == list(expected.stages)
    assert not list(Home.find().logs.glob("*.json"))


@pytest.mark.parametrize(
    ("stages", "at_work"), [(9, ["cuda:1", "cuda:0", "cuda:1"]), (3, ["cuda:1", "cuda:0"]), (1, [])]
)
def test_every_device_gets_a_process_and_no_more_start_than_there_are_stages(
    stages: int, at_work: list[str], home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str] = []

    def note(commands: Sequence[Sequence[str]], *rest: object) -> AbstractContextManager[None]:
        given.extend(Assignment.read(Path(file)).device for _, file in commands)
        return nullcontext()

    monkeypatch.setattr(jobs, "further_processes", note)
    plan = plan_experiment(load_experiment(write(TINY)), home.cards)
    first, *further = (torch.device("cuda", index) for index in (0, 1, 0, 1))
    with jobs.workers(stages, plan, Workplace(home, first, display(), Stop(), tuple(further))):
        assert given == at_work
        assert len(list(home.logs.glob("*.json"))) == len({*at_work})
    assert not list(home.logs.glob("*"))


@pytest.mark.parametrize("name", experiment_names())
def test_a_resolved_experiment_is_the_same_experiment(name: str) -> None:
    experiment = load_experiment(name)
    again = Experiment.model_validate(json.loads(json.dumps(experiment.resolved())))
    assert again.model_dump(mode="json") == experiment.model_dump(mode="json")
    assert [cell.identity() for cell in again.cells()] == [cell.identity() for cell in experiment.cells()]


def test_the_paths_of_defenses_reach_a_worker() -> None:
    file = write(TINY + "profiles:\n  x:\n    defenses: [plain, {purified: {folder: /somewhere}}, jpeg-10+cutout]\n")
    experiment = load_experiment(file, profile="x")
    again = Experiment.model_validate(experiment.resolved())
    assert again.defenses[1].written() == [{"purified": {"by": "unnamed", "folder": "/somewhere"}}]
    assert [str(one) for one in again.defenses] == [str(one) for one in experiment.defenses]


@pytest.mark.parametrize("content", [None, "{", "{}"])
def test_what_is_no_assignment_is_a_sentence(content: str | None) -> None:
    if content is not None:
        Path("job.json").write_text(content)
    answer = ask("work", "job.json")
    assert answer.code == 2
    assert answer.err == "sepbench: job.json is no assignment of a run: run --jobs writes them, use that\n"
