"""Several processes on one store share the work."""

from collections import Counter

import pytest

from tests.making.alterations import hold
from tests.making.experiments import STAGES
from tests.making.whole_runs import Before, Sepbench, Undisturbed

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("stage", ["craft none", "surrogate"])
def test_two_runs_at_once_do_every_stage_once_and_print_the_same_table(
    stage: str, sepbench: Sepbench, undisturbed: Undisturbed
) -> None:
    first = sepbench.start("run", sepbench.experiment(), "--no-mlflow", alter=[hold(stage, 0.3)])
    first.wait_for("held")  # in the middle of a stage, while the other does what it can
    second = sepbench.start("run", sepbench.experiment(), "--no-mlflow")
    second.wait_for("waiting")
    ended = [first.finish(), second.finish()]
    assert [one.code for one in ended] == [0, 0]
    assert Counter(label for one in ended for label in one.ran) == dict.fromkeys(STAGES, 1)
    assert [one.table for one in ended] == [undisturbed.table] * 2
    assert [one.complaints for one in ended] == [[], []]
    assert sepbench.outcomes() == undisturbed.outcomes


def test_two_runs_started_together_end_alike(sepbench: Sepbench, undisturbed: Undisturbed) -> None:
    file = sepbench.experiment()
    ended = [run.finish() for run in [sepbench.start("run", file, "--no-mlflow") for _ in range(2)]]
    assert [one.code for one in ended] == [0, 0]
    assert Counter(label for one in ended for label in one.ran) == dict.fromkeys(STAGES, 1)
    assert [one.table for one in ended] == [undisturbed.table] * 2
    assert sepbench.outcomes() == undisturbed.outcomes


def test_a_run_takes_over_from_one_that_is_killed_while_it_waits_for_it(
    before: Before, undisturbed: Undisturbed
) -> None:
    sepbench = before("surrogate")
    first = sepbench.start("run", sepbench.experiment(), "--no-mlflow", alter=[hold("surrogate", 0.3)])
    first.wait_for("held")
    second = sepbench.start("run", sepbench.experiment(), "--no-mlflow")
    second.wait_for("waiting")
    first.kill()
    ended = second.finish()
    assert ended.code == 0
    assert ended.table == undisturbed.table
    assert sepbench.outcomes() == undisturbed.outcomes


def test_mlflow_has_each_stage_once_where_two_runs_share_the_work(tracked: Sepbench, undisturbed: Undisturbed) -> None:
    file = tracked.experiment()
    first = tracked.start("run", file, alter=[hold("surrogate", 0.3)])
    first.wait_for("held")
    second = tracked.start("run", file)
    second.wait_for("waiting")
    assert [first.finish().code, second.finish().code] == [0, 0]
    keys = Counter(key for (key,) in tracked.logged("select value from tags where key = 'key'"))
    assert set(keys.values()) == {1}
    assert len(keys) == len(STAGES)
    assert tracked.call("table", file).table == undisturbed.table
