"""`run --jobs`: several processes of one run share its work, and none outlives it."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.making.alterations import Alteration, hold, in_workers, linger, save_every_epoch, with_broken_methods
from tests.making.experiments import STAGES
from tests.making.process_notes import Notes
from tests.making.whole_runs import Running, Sepbench, Undisturbed

pytestmark = pytest.mark.slow

KEYS = "select value from tags where key = 'key'"
PATIENCE_SECONDS = 120

at_its_first_stage = hold("craft none", 0.0, "started")
in_the_surrogate = hold("surrogate", 0.3)


class Worker:
    """The further process of `--jobs 2`."""

    def __init__(self, folder: Path) -> None:
        wait_until(lambda: any(folder.glob("[0-9]*")), "there is no worker")
        (own,) = folder.glob("[0-9]*")
        self.pid, self.notes = int(own.name), Notes(own)

    @property
    def ran(self) -> list[str]:
        return [event.label for event in self.notes.read() if event.what == "started"]

    @property
    def surrogate(self) -> list[float]:
        """How far it came with the surrogate."""
        events = self.notes.read()
        return [event.fraction for event in events if event.what == "progress" and event.label.startswith("surrogate")]

    def wait_for(self, what: str) -> None:
        wait_until(lambda: any(event.what == what for event in self.notes.read()), f"the worker came to no {what}")

    @property
    def is_gone(self) -> bool:
        try:
            state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        return state == "Z"  # ended, and nobody asked how


def wait_until(condition: Callable[[], bool], complaint: str) -> None:
    limit = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < limit, complaint
        time.sleep(0.01)


def two_jobs(
    sepbench: Sepbench,
    *options: str | Alteration,
    alter: Sequence[Alteration] = (),
    interpreters: bool = False,
    how: Sequence[str] = ("--jobs", "2"),
    **changes: Any,
) -> tuple[Running, Worker]:
    """Start a run that holds in its first stage, and its worker, asked for by the options `how`.

    `options` are of the command, or what is done in the worker; `alter` is done in the first process.
    """
    folder = sepbench.folder / "workers"
    words = [one for one in options if isinstance(one, str)]
    in_worker = tuple(one for one in options if not isinstance(one, str))
    run = sepbench.start(
        *("run", sepbench.experiment(**changes), *how, *words),
        alter=[*alter, at_its_first_stage, in_workers(folder, in_worker, interpreters)],
    )
    run.wait_for("held")
    return run, Worker(folder)


def test_two_jobs_do_every_stage_once_and_come_to_what_one_does_with_as_many_threads(
    tracked: Sepbench, undisturbed: Undisturbed
) -> None:
    """OMP_NUM_THREADS is 1 for all of them: another number of threads has other last bits."""
    run, worker = two_jobs(tracked, save_every_epoch, interpreters=True)
    worker.wait_for("waiting")  # for the stage that holds, as all else is done
    ended = run.finish()
    assert ended.code == 0
    assert ended.complaints == []
    assert worker.is_gone
    assert Counter([*ended.ran, *worker.ran]) == dict.fromkeys(STAGES, 1)
    assert {label.split(" · ")[0] for label in worker.ran} >= {"surrogate resnet8", "craft sep linf-32"}
    assert ended.table == undisturbed.table
    assert tracked.outcomes() == undisturbed.outcomes
    assert tracked.tensors() == undisturbed.home.tensors()
    shown = [line.split("] ")[1].split(":")[0] for line in ended.err.splitlines() if line.startswith("[")]
    assert Counter(shown) == dict.fromkeys(STAGES, 1)


def test_a_device_that_is_named_twice_is_two_processes(sepbench: Sepbench, undisturbed: Undisturbed) -> None:
    run, worker = two_jobs(sepbench, "--no-mlflow", how=("--devices", "cpu,cpu"))
    worker.wait_for("waiting")
    ended = run.finish()
    assert Counter([*ended.ran, *worker.ran]) == dict.fromkeys(STAGES, 1)
    assert ended.table == undisturbed.table
    assert sepbench.outcomes() == undisturbed.outcomes


def test_mlflow_is_told_of_what_every_process_did(tracked: Sepbench, undisturbed: Undisturbed) -> None:
    run, worker = two_jobs(tracked, linger("surrogate", 0.5))
    worker.wait_for("waiting")
    assert run.finish().code == 0
    labels = [label for (label,) in tracked.logged("select value from params where key = 'label'")]
    assert Counter(labels) == dict.fromkeys(STAGES, 1)
    assert tracked.logged("select distinct status from runs") == [("FINISHED",)]
    parents = tracked.logged("select value, count(*) from tags where key = 'mlflow.parentRunId' group by value")
    assert [count for _, count in parents] == [len(STAGES)]
    ((milliseconds,),) = tracked.logged(
        "select end_time - start_time from runs join tags using (run_uuid) where key = 'stage' and value = 'surrogate'"
    )
    assert milliseconds >= 500
    assert not list((tracked.home / "outbox").rglob("*.json"))
    assert tracked.call("table", tracked.experiment(), "--strict").table == undisturbed.table


def test_a_signal_stops_every_process_at_a_safe_point(tracked: Sepbench, undisturbed: Undisturbed) -> None:
    run, worker = two_jobs(tracked, in_the_surrogate)
    worker.wait_for("held")
    run.send(signal.SIGINT)
    worker.wait_for("asked")
    worker.notes.let_go()
    stopped = run.finish()
    assert stopped.code == 3
    (line,) = stopped.complaints
    # Of the worker random-noise and its victim; the first process ends what it has just begun.
    assert "stopped by Ctrl-C after 3 stages" in line
    assert worker.is_gone
    assert worker.surrogate == [1 / 3]
    again = tracked.call("run", tracked.experiment())
    assert again.code == 0
    assert again.progress("surrogate") == [2 / 3, 1.0]
    assert again.table == undisturbed.table
    assert tracked.outcomes() == undisturbed.outcomes
    assert Counter(tracked.logged(KEYS)).total() == len(STAGES) == len(set(tracked.logged(KEYS)))


def test_the_time_limit_stops_every_process(sepbench: Sepbench, undisturbed: Undisturbed) -> None:
    at_its_first_stage_too = hold("craft random-noise", 0.0, "started")
    run, worker = two_jobs(sepbench, at_its_first_stage_too, "--no-mlflow", "--time-limit", "1s")
    worker.wait_for("held")
    time.sleep(1)  # now both began more than a second ago
    worker.notes.let_go()
    stopped = run.finish()
    assert stopped.code == 3
    (line,) = stopped.complaints
    assert "stopped by --time-limit" in line
    assert worker.is_gone
    assert worker.ran == ["craft random-noise linf-32"]
    assert sepbench.run("--jobs", "2").table == undisturbed.table
    assert sepbench.outcomes() == undisturbed.outcomes


def test_no_process_outlives_a_run_that_is_killed(sepbench: Sepbench, undisturbed: Undisturbed) -> None:
    run, worker = two_jobs(sepbench, in_the_surrogate, "--no-mlflow")
    worker.wait_for("held")
    run.kill()
    worker.wait_for("asked")
    worker.notes.let_go()
    wait_until(lambda: worker.is_gone, "the worker goes on")
    assert worker.surrogate == [1 / 3]
    again = sepbench.run()
    assert again.code == 0
    assert again.progress("surrogate") == [2 / 3, 1.0]
    assert sepbench.outcomes() == undisturbed.outcomes


def test_a_run_does_the_work_of_a_process_that_is_killed(sepbench: Sepbench, undisturbed: Undisturbed) -> None:
    run, worker = two_jobs(sepbench, in_the_surrogate, "--no-mlflow")
    worker.wait_for("held")
    os.kill(worker.pid, signal.SIGKILL)
    ended = run.finish()
    assert ended.code == 0
    (warning,) = ended.complaints
    assert "a process of --jobs ended with -9, what it had finished stays: see " in warning
    assert Path(warning.rpartition("see ")[2]).read_text().startswith("[1/7] craft random-noise linf-32: ")
    assert ended.table == undisturbed.table
    assert sepbench.outcomes() == undisturbed.outcomes


def test_two_runs_of_two_jobs_share_one_home(tracked: Sepbench, undisturbed: Undisturbed) -> None:
    file = tracked.experiment()
    folders = [tracked.folder / name for name in ("workers-of-one", "workers-of-the-other")]
    runs = [tracked.start("run", file, "--jobs", "2", alter=[in_workers(folder)]) for folder in folders]
    ended = [run.finish() for run in runs]
    by_workers = [label for folder in folders for label in Worker(folder).ran]
    assert Counter([label for one in ended for label in one.ran] + by_workers) == dict.fromkeys(STAGES, 1)
    assert [one.code for one in ended] == [0, 0]
    assert [one.complaints for one in ended] == [[], []]
    assert [one.table for one in ended] == [undisturbed.table] * 2
    assert tracked.outcomes() == undisturbed.outcomes
    assert Counter(tracked.logged(KEYS)).total() == len(STAGES) == len(set(tracked.logged(KEYS)))


def test_a_cell_that_fails_in_every_process_is_listed_once(sepbench: Sepbench, tmp_path: Path) -> None:
    broken = with_broken_methods(tmp_path / "broken")
    broken.broken.touch()
    run, worker = two_jobs(sepbench, broken, "--no-mlflow", alter=[broken], methods=["none", "raises"])
    worker.wait_for("waiting")
    ended = run.finish()
    assert "craft raises linf-32" in {*ended.ran} & {*worker.ran}
    assert ended.code == 1
    (failure, count) = ended.complaints
    assert failure.startswith(
        "sepbench: failed: raises resnet8 plain seed 0: craft raises linf-32 failed: RuntimeError"
    )
    assert count.startswith("sepbench: 1 of 2 cells failed")
    assert {one.method: one.status for one in sepbench.records().values()} == {"none": "done", "raises": "failed"}


def test_what_fails_in_one_process_and_not_in_the_other_is_done(sepbench: Sepbench, tmp_path: Path) -> None:
    broken = with_broken_methods(tmp_path / "broken")
    broken.broken.touch()
    run, worker = two_jobs(
        sepbench,
        broken,
        hold("victim raises", 0.0, "ended"),  # the first, as failed, while the second is still ahead
        "--no-mlflow",
        alter=[broken],
        methods=["raises"],
        seeds=[0, 1],
    )
    worker.wait_for("held")
    broken.broken.unlink()
    run.notes.let_go()
    run.wait_for("waiting")  # for the first, as all else is done
    worker.notes.let_go()
    ended = run.finish()
    assert (ended.code, ended.complaints) == (0, [])
    assert [one.status for one in sepbench.records().values()] == ["done"] * 4
    (log,) = (sepbench.home / "logs").glob("job-*.log")
    failed = [line.split("] ")[1].split(": FAILED")[0] for line in log.read_text().splitlines() if "FAILED" in line]
    assert failed == ["craft raises linf-32", "victim raises linf-32 · resnet8 · plain · seed 0"]
