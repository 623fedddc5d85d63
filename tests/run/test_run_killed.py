"""`kill -9` at any moment costs at most what the running stage had not saved, and no number."""

import signal

import pytest

from tests.making.alterations import hold, killed_at_write, save_every_epoch, shards_of
from tests.making.experiments import SEP
from tests.making.whole_runs import Before, Undisturbed

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("stage", ["surrogate", "craft sep", "victim sep"])
def test_a_run_killed_within_a_stage_goes_on_to_the_same_numbers(
    stage: str, before: Before, undisturbed: Undisturbed
) -> None:
    sepbench = before(stage)
    run = sepbench.start("run", sepbench.experiment(), "--no-mlflow", alter=[hold(stage, 0.5)])
    run.wait_for("held")
    killed = run.kill()
    artifacts = sepbench.files()

    again = sepbench.run()
    assert again.code == 0
    assert killed.ran[-1] == again.ran[0]
    assert [*killed.ran[:-1], *again.ran] == [*dict.fromkeys([*killed.ran, *again.ran])], "a stage was done twice"
    assert artifacts.items() <= sepbench.files().items(), "a finished artifact was touched"
    assert again.table == undisturbed.table
    assert sepbench.outcomes() == undisturbed.outcomes
    assert sepbench.tensors() == undisturbed.home.tensors()


@pytest.mark.parametrize("stage", ["surrogate", "victim sep"])
def test_training_goes_on_from_the_last_saved_epoch(stage: str, before: Before, undisturbed: Undisturbed) -> None:
    sepbench = before(stage)
    run = sepbench.start(
        "run", sepbench.experiment(), "--no-mlflow", alter=[save_every_epoch, hold(stage, 2 / 3 - 0.01)]
    )
    run.wait_for("held")
    assert run.kill().progress(stage) == [1 / 3, 2 / 3]
    again = sepbench.run()
    assert again.code == 0
    assert again.progress(stage) == [1.0]
    assert sepbench.outcomes() == undisturbed.outcomes
    assert sepbench.tensors() == undisturbed.home.tensors()


def test_crafting_goes_on_with_the_first_shard_that_is_not_saved(before: Before, undisturbed: Undisturbed) -> None:
    sepbench = before("craft sep")
    shards = 7  # of 32 of the 200 images
    in_the_fourth = hold("craft sep", 3.4 / shards)
    run = sepbench.start("run", sepbench.experiment(), "--no-mlflow", alter=[shards_of(32), in_the_fourth])
    run.wait_for("held")
    killed = run.kill()
    again = sepbench.run(alter=[shards_of(32)])
    assert again.code == 0
    assert max(killed.progress("craft sep")) * shards == pytest.approx(3.5)  # one of its two steps
    assert min(again.progress("craft sep")) * shards == pytest.approx(3.5)
    assert sepbench.outcomes() == undisturbed.outcomes  # of shards of another size
    assert sepbench.tensors() == undisturbed.home.tensors()


def test_a_run_killed_again_and_again_while_it_writes_still_ends_with_the_same_numbers(
    before: Before, undisturbed: Undisturbed
) -> None:
    sepbench, kills = before("surrogate"), 0
    while (run := sepbench.run(alter=[save_every_epoch, killed_at_write(15 + kills)])).code != 0:
        assert run.code == -signal.SIGKILL, run.err
        kills += 1
        assert kills < 60, "no attempt gets any further"
    assert kills > 3
    assert run.table == undisturbed.table
    assert sepbench.outcomes() == undisturbed.outcomes
    assert sepbench.tensors() == undisturbed.home.tensors()
    assert set(run.ran) < set(SEP)
