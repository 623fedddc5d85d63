"""A disk that refuses ends the run with one sentence; what was written stays whole, and the run goes on later."""

import pytest

from tests.making.alterations import Alteration, disk_full_from_write, files_of_at_most
from tests.making.whole_runs import Before, Sepbench, Undisturbed

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        pytest.param(files_of_at_most(200_000), "File too large", id="a-surrogate-does-not-fit"),
        pytest.param(disk_full_from_write(1), "No space left on device", id="from-the-start"),
        pytest.param(disk_full_from_write(15), "No space left on device", id="later"),
        pytest.param(disk_full_from_write(35), "No space left on device", id="near-the-end"),
    ],
)
def test_a_full_disk_is_one_sentence_and_the_same_command_goes_on(
    trouble: Alteration, reason: str, before: Before, undisturbed: Undisturbed
) -> None:
    sepbench = before("surrogate")
    run = sepbench.run(alter=[trouble])
    assert run.code == 2
    (sentence,) = run.complaints
    assert sentence.startswith(f"sepbench: cannot write to {sepbench.home}")
    assert reason in sentence
    assert "the same command" in sentence
    assert sepbench.half_written() == []
    artifacts = sepbench.files()

    again = sepbench.run()
    assert again.code == 0
    assert artifacts.items() <= sepbench.files().items()
    assert again.table == undisturbed.table
    assert sepbench.outcomes() == undisturbed.outcomes
    assert sepbench.tensors() == undisturbed.home.tensors()


def test_mlflow_is_told_of_a_run_that_the_disk_ended(tracked: Sepbench, undisturbed: Undisturbed) -> None:
    file = tracked.experiment()
    assert tracked.call("run", file, alter=[disk_full_from_write(40)]).code == 2
    assert tracked.logged("select status from runs where status not in ('FINISHED', 'FAILED')") == []
    assert tracked.call("run", file).code == 0
    assert tracked.call("table", file, "--strict").table == undisturbed.table
