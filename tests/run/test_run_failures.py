"""A cell that fails stands beside the others, says why, and is tried again."""

from pathlib import Path

import pytest

from tests.making.alterations import with_broken_methods
from tests.making.whole_runs import Sepbench

pytestmark = pytest.mark.slow

METHODS = ["none", "raises", "leaves-budget", "random-noise"]
MISSING = "\N{EN DASH}"


def test_failing_methods_leave_the_others_alone_and_are_tried_again(sepbench: Sepbench, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.touch()
    run = sepbench.run(methods=METHODS, alter=[with_broken_methods(broken)])
    assert run.code == 1
    records = {one.method: one for one in sepbench.records().values()}
    assert {name: one.status for name, one in records.items()} == {
        "none": "done",
        "raises": "failed",
        "leaves-budget": "failed",
        "random-noise": "done",
    }
    assert "RuntimeError: the generator network is missing" in str(records["raises"].reason)
    assert "the method 'leaves-budget' leaves its budget in craft: a released pixel moved by" in str(
        records["leaves-budget"].reason
    )
    assert "the budget is linf-32" in str(records["leaves-budget"].reason)
    assert records["raises"].test_acc is None
    rows = {line.split("|")[1].strip(): line.split("|")[2].strip() for line in run.table.splitlines() if "|" in line}
    assert rows["raises"] == rows["leaves-budget"] == MISSING
    assert float(rows["none"]) > 50
    assert run.complaints[-1].startswith("sepbench: 2 of 4 cells failed; tracebacks are in ")
    logs = [path for path in (sepbench.home / "logs").iterdir() if "Traceback" in path.read_text()]
    assert len(logs) == 2
    assert all(str(path) in run.complaints[-1] for path in logs)
    assert sum(line.startswith("sepbench: failed: raises resnet8 plain seed 0: ") for line in run.complaints) == 1
    assert "Traceback" not in run.err
    (traceback,) = (path.read_text() for path in (sepbench.home / "logs").iterdir() if "raises" in path.read_text())
    assert "Traceback" in traceback

    artifacts = sepbench.files()
    again = sepbench.run(methods=METHODS, alter=[with_broken_methods(broken)])
    assert again.code == 1
    assert sorted(again.ran) == ["craft leaves-budget linf-32", "craft raises linf-32"]
    assert again.table == run.table
    assert sepbench.files() == artifacts

    broken.unlink()
    repaired = sepbench.run(methods=METHODS, alter=[with_broken_methods(broken)])
    assert repaired.code == 0
    assert len(repaired.ran) == 4
    assert artifacts.items() <= sepbench.files().items()
    assert {one.status for one in sepbench.records().values()} == {"done"}
    assert MISSING not in repaired.table


def test_mlflow_tells_a_failed_cell_and_then_its_repair(tracked: Sepbench, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.touch()
    file = tracked.experiment(methods=["none", "raises"])
    run = tracked.call("run", file, alter=[with_broken_methods(broken)])
    assert run.code == 1
    assert len(tracked.logged("select * from runs where status = 'FAILED'")) == 3  # craft, victim and their parent
    ((reason,),) = tracked.logged(
        "select reason.value from tags reason join tags stage using (run_uuid) "
        "where reason.key = 'reason' and stage.key = 'stage' and stage.value = 'craft'"
    )
    assert reason == "RuntimeError: the generator network is missing"
    table = tracked.call("table", file, alter=[with_broken_methods(broken)])
    assert table.table == run.table

    broken.unlink()
    repaired = tracked.call("run", file, alter=[with_broken_methods(broken)])
    assert repaired.code == 0
    assert tracked.call("table", file, alter=[with_broken_methods(broken)]).table == repaired.table


def test_a_diverging_training_is_a_failed_cell_that_says_so(sepbench: Sepbench) -> None:
    run = sepbench.run(
        recipe={"name": "digits", "epochs": 3, "batch_size": 20, "lr": 1.0e30},
        methods=["none", {"sep": {"checkpoints": 1, "steps": 1}}],
    )
    assert run.code == 1
    reasons = {one.method: str(one.reason) for one in sepbench.records().values()}
    assert reasons["none"].startswith("Diverged: the training loss of epoch 1 is nan")
    assert reasons["sep"].startswith("craft sep linf-32 failed: surrogate resnet8 · seed 0 failed: Diverged:")
    assert "Traceback" not in run.err


def test_a_last_step_that_overflows_is_a_failed_cell_of_surrogates_and_victims_alike(sepbench: Sepbench) -> None:
    """The only loss there is was taken before the step: it is that of the first weights, and finite."""
    run = sepbench.run(
        recipe={"name": "digits", "epochs": 1, "batch_size": 1000, "lr": 1.0e38, "schedule": {"kind": "cosine"}},
        methods=["none", {"sep": {"checkpoints": 1, "steps": 1}}],
    )
    assert run.code == 1
    reasons = {one.method: str(one.reason) for one in sepbench.records().values()}
    assert "Diverged: outputs for" in reasons["none"]
    assert reasons["none"].endswith("after epoch 1: lower recipe.lr, or bound the gradient with recipe.clip_gradient")
    assert "surrogate resnet8 · seed 0 failed: Diverged: outputs for" in reasons["sep"]


def test_a_cell_that_another_experiment_repaired_is_no_longer_recorded_as_failed(
    tracked: Sepbench, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.touch()
    alter = [with_broken_methods(broken)]
    file = tracked.experiment(methods=["none", "raises"])
    assert tracked.call("run", file, alter=alter).code == 1
    broken.unlink()
    other = tracked.experiment(name="other", methods=["none", "raises"])
    assert tracked.call("run", other, "--no-mlflow", alter=alter).code == 0

    again = tracked.call("run", file, alter=alter)
    assert (again.code, again.ran) == (0, [])
    assert {one.status for one in tracked.records().values()} == {"done"}
    assert MISSING not in again.table
    assert tracked.call("table", file, alter=alter).table == again.table
