"""A method that trains while it crafts, killed or stopped between its rounds, goes on to the same bytes."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from bench.record.record import Record
from tests.making.alterations import Alteration, hold, keep_every_round, take_a_day_at_its_start
from tests.making.process_notes import Notes
from tests.making.whole_runs import Ended, Sepbench

pytestmark = pytest.mark.slow

EM: dict[str, Any] = {
    "name": "rounds",
    "recipe": {"name": "digits", "epochs": 1},
    "dataset": {"name": "digits", "limit": 60, "test_limit": 40},
    "budgets": ["linf-8"],
    "methods": [{"em": {"rounds": 30, "batches": 2, "batch_size": 16, "steps": 2, "stop_error": 0.3, "lr": 0.02}}],
}
STAGE = "craft em"


def record_of(sepbench: Sepbench) -> Record:
    (found,) = [one for one in sepbench.records("rounds").values() if one.method == "em"]
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sepbench, Ended]:
    """The experiment where nothing happens to it."""
    sepbench = Sepbench(tmp_path_factory.mktemp("whole"))
    ended = sepbench.run(**EM)
    assert ended.code == 0, ended.err
    return sepbench, ended


def rounds_of(ended: Ended) -> set[int]:
    """Return the rounds, of 30 at most, that a process came to the end of."""
    done = [30 * fraction for fraction in ended.progress(STAGE) if fraction < 1]
    return {round(one) for one in done if abs(one - round(one)) < 1e-6}


def test_one_that_is_killed_goes_on_from_the_last_round_that_it_kept(
    sepbench: Sepbench, whole: tuple[Sepbench, Ended]
) -> None:
    undisturbed, ended = whole
    within_the_seventh = hold(STAGE, 6.4 / 30)
    run = sepbench.start("run", sepbench.experiment(**EM), "--no-mlflow", alter=[keep_every_round, within_the_seventh])
    run.wait_for("held")
    killed = run.kill()
    again = sepbench.run(**EM)
    assert again.code == 0, again.err
    assert rounds_of(killed) == {1, 2, 3, 4, 5, 6}
    assert rounds_of(again) == rounds_of(ended) - rounds_of(killed)
    expected, found = record_of(undisturbed), record_of(sepbench)
    assert found.protected_sha256 == expected.protected_sha256
    assert sepbench.tensors() == undisturbed.tensors()


def test_its_record_counts_the_passes_and_the_time_of_all_processes(
    sepbench: Sepbench, whole: tuple[Sepbench, Ended]
) -> None:
    alterations: list[Alteration] = [keep_every_round, a_thousand_times_slower, hold(STAGE, 6.4 / 30)]
    run = sepbench.start("run", sepbench.experiment(**EM), "--no-mlflow", alter=alterations)
    run.wait_for("held")
    (key,) = {event.key for event in run.kill().events if event.label.startswith(STAGE)}
    kept = sepbench.store.draft("craft", key).info("state-rounds")
    assert sepbench.run(**EM).code == 0
    expected, found = record_of(whole[0]), record_of(sepbench)
    assert found.craft_passes == expected.craft_passes
    assert found.craft_passes is not None
    assert kept["spent"] / 60 < found.craft_passes < 30 * (2 + 2 * 16 / 60), "it stops before its last round"
    assert found.craft_seconds is not None
    assert expected.craft_seconds is not None
    assert found.craft_seconds > kept["seconds"] > 10 * expected.craft_seconds


def test_the_time_limit_stops_it_after_a_round_and_the_next_run_goes_on(
    sepbench: Sepbench, whole: tuple[Sepbench, Ended]
) -> None:
    undisturbed, ended = whole
    stopped = sepbench.run("--time-limit", "1h", alter=[take_a_day_at_its_start(STAGE)], **EM)
    assert stopped.code == 3
    (line,) = stopped.complaints
    assert "stopped by --time-limit" in line
    assert rounds_of(stopped) == {1}
    again = sepbench.run("--time-limit", "1h", **EM)
    assert again.code == 0
    assert rounds_of(again) == rounds_of(ended) - {1}
    assert sepbench.tensors() == undisturbed.tensors()


def a_thousand_times_slower(notes: Notes) -> None:
    """Take it that every second of crafting is a thousand."""
    import bench.run.stages.kept_rounds as module

    setattr(module, "time", SimpleNamespace(perf_counter=lambda: 1000 * time.perf_counter()))  # noqa: B010
