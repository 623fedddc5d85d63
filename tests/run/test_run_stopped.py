"""A run that is asked to stop does so where nothing is lost, says so in one line, and goes on later."""

import signal

import pytest

from tests.making.alterations import hold, take_a_day_at_its_start
from tests.making.whole_runs import Before, Ended, Running, Sepbench, Undisturbed

pytestmark = pytest.mark.slow


def held_in(stage: str, sepbench: Sepbench) -> Running:
    run = sepbench.start("run", sepbench.experiment(), "--no-mlflow", alter=[hold(stage, 0.3)])
    run.wait_for("held")
    return run


def assert_resumable(stopped: Ended, why: str) -> None:
    assert stopped.code == 3
    (line,) = stopped.complaints
    assert line.startswith("sepbench: ")
    assert why in line
    assert "the same command goes on" in line


@pytest.mark.parametrize(("number", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")])
def test_a_signal_stops_a_training_after_its_epoch_and_loses_none(
    number: int, name: str, before: Before, undisturbed: Undisturbed
) -> None:
    sepbench = before("surrogate")
    run = held_in("surrogate", sepbench)
    run.send(number)
    stopped = run.finish()
    assert_resumable(stopped, f"stopped by {name}")
    assert stopped.progress("surrogate") == [1 / 3]
    again = sepbench.run()
    assert again.code == 0
    assert again.progress("surrogate") == [2 / 3, 1.0]
    assert again.table == undisturbed.table
    assert sepbench.outcomes() == undisturbed.outcomes


def test_ctrl_c_stops_crafting_after_its_shard(before: Before, undisturbed: Undisturbed) -> None:
    sepbench = before("craft sep")
    run = held_in("craft sep", sepbench)
    run.send(signal.SIGINT)
    assert_resumable(run.finish(), "stopped by Ctrl-C")
    again = sepbench.run()
    assert again.code == 0
    assert again.progress("craft sep") == []  # its only shard was finished
    assert sepbench.outcomes() == undisturbed.outcomes


def test_a_second_signal_does_not_wait_for_the_epoch(before: Before, undisturbed: Undisturbed) -> None:
    sepbench = before("surrogate")
    run = held_in("surrogate", sepbench)
    run.send(signal.SIGINT)
    run.send(signal.SIGTERM)
    assert_resumable(run.finish(), "interrupted")
    again = sepbench.run()
    assert again.code == 0
    assert sepbench.outcomes() == undisturbed.outcomes


def test_the_time_limit_stops_a_run_and_the_next_goes_on(before: Before, undisturbed: Undisturbed) -> None:
    sepbench = before("surrogate")
    stopped = sepbench.run("--time-limit", "1h", alter=[take_a_day_at_its_start("surrogate")])
    assert_resumable(stopped, "stopped by --time-limit")
    artifacts = sepbench.files()
    again = sepbench.run("--time-limit", "1h")
    assert again.code == 0
    assert artifacts.items() <= sepbench.files().items()
    assert again.table == undisturbed.table
    assert sepbench.outcomes() == undisturbed.outcomes


def test_a_run_that_waits_for_another_can_be_stopped(before: Before, undisturbed: Undisturbed) -> None:
    sepbench = before("surrogate")
    first = held_in("surrogate", sepbench)
    second = sepbench.start("run", sepbench.experiment(), "--no-mlflow")
    second.wait_for("waiting")
    second.send(signal.SIGTERM)
    assert_resumable(second.finish(), "stopped by SIGTERM")
    assert first.finish().code == 0
    assert sepbench.outcomes() == undisturbed.outcomes
