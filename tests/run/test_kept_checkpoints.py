"""Surrogates keep the checkpoints that are asked for, where all of them would be much, and these are the same bits."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.contracts.method import Surrogate
from bench.core.errors import Stopped
from bench.data.images import Splits
from bench.data.loading import load
from bench.plan import checkpoints
from bench.plan.checkpoints import SMALL, kept_epochs
from bench.plan.cost import Costs, bytes_of_every_epoch, estimate_bytes
from bench.plan.make import make_plan
from bench.plan.stage import SurrogateJob
from bench.run.stages.surrogate import train_surrogate
from bench.run.stages.workbench import Workbench
from bench.spec.experiment import Experiment
from bench.store.artifacts import Store
from tests.making.asking import Finished, ask, done
from tests.making.cards import CARD
from tests.making.experiments import FIELDS, LEARNING

LAST = ("--set", "methods=[{sep: {checkpoints: 1, steps: 2, step_size: 8}}]")
"""Changes to the tiny experiment after which it takes one checkpoint instead of two."""


@pytest.fixture
def all_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "SMALL", 0)


@pytest.fixture
def elsewhere(finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store of an empty home."""
    monkeypatch.setenv("SEPBENCH_HOME", str(tmp_path / "there"))
    return Store(tmp_path / "there" / "store")


def key_of(store: Store, kind: str = "surrogate") -> str:
    (path,) = (store.root / kind).glob("*/*")
    return path.name


def job_of(**changes: object) -> SurrogateJob:
    plan = make_plan(Experiment.model_validate({**FIELDS, **changes}), CARD)
    (job,) = (stage.job for stage in plan.stages.values() if isinstance(stage.job, SurrogateJob))
    return job


def test_what_is_kept_is_the_union_of_what_is_asked_for() -> None:
    asked = [Surrogate(checkpoints=3), Surrogate(checkpoints=2, placement="last"), Surrogate(at=(0,))]
    assert kept_epochs(asked, 12, SMALL) == (0, 3, 7, 10, 11)


def test_small_checkpoints_are_all_kept_and_so_are_those_that_nobody_told_of() -> None:
    assert kept_epochs([Surrogate()], 4, SMALL / 4 - 1) == (0, 1, 2, 3)
    assert kept_epochs([], 4, SMALL) == (0, 1, 2, 3)


def test_which_epochs_improved_is_known_once_they_are_trained() -> None:
    asked = [Surrogate(checkpoints=2, placement="improving"), Surrogate(at=(0,))]
    assert kept_epochs(asked, 4, SMALL) is None
    assert kept_epochs(asked, 4, SMALL, [10.0, 30.0, 20.0, 40.0]) == (0, 1, 3)
    assert kept_epochs(asked, 4, SMALL, [40.0, 30.0, 20.0, 10.0]) == (0,), "crafting says that too few improved"


def test_a_surrogate_keeps_what_the_whole_experiment_takes_also_where_a_part_of_it_runs() -> None:
    methods = ["single-checkpoint", {"sep": {"checkpoints": 2}}]
    experiment = Experiment.model_validate({**FIELDS, "methods": methods})
    whole = make_plan(experiment, CARD)
    part = make_plan(experiment, CARD, lambda cell: cell.method.name == "single-checkpoint")
    ours, theirs = ([one for one in plan.stages.values() if one.kind == "surrogate"] for plan in (whole, part))
    assert [one.key for one in ours] == [one.key for one in theirs]
    (job,) = (one.job for one in theirs)
    assert isinstance(job, SurrogateJob)
    assert [need.checkpoints for need in job.asked] == [1, 2]


def test_a_plan_counts_the_disk_of_what_is_kept(tmp_path: Path) -> None:
    costs = Costs(tmp_path)
    fields = {**FIELDS, "surrogate": "resnet18", "methods": [{"sep": {"checkpoints": 30}}]}
    plan = make_plan(Experiment.model_validate({**fields, "recipe": {"name": "sep-2023"}}), CARD)
    (stage,) = (one for one in plan.stages.values() if one.kind == "surrogate")
    weights = costs.of("resnet18", CARD).weights
    assert weights == pytest.approx(44.8e6, rel=0.01)
    assert estimate_bytes(plan, stage, costs) == pytest.approx(30 * weights)
    assert bytes_of_every_epoch(plan, stage, costs) == 120 * weights


@pytest.mark.usefixtures("all_are_large", "elsewhere")
def test_a_plan_tells_of_what_is_not_kept_and_of_a_disk_that_is_too_small(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "those alone that this experiment asks for: with every epoch it would be" in done("plan", "tiny.yaml", *LAST)
    whole = done("plan", "tiny.yaml")
    assert "those alone" not in whole
    assert "the disk has" not in whole
    monkeypatch.setattr("bench.plan.right_now.free_bytes", lambda folder: 2**10)
    assert "the disk has 1.0 KiB left and " in done("plan", "tiny.yaml")


@pytest.mark.slow
@pytest.mark.usefixtures("all_are_large")
def test_fewer_checkpoints_are_the_same_bits_and_others_are_trained_for_again(
    finished: Finished, elsewhere: Store
) -> None:
    whole = Store(finished.home / "store")
    done("run", "tiny.yaml", *LAST, "--no-mlflow")
    key = key_of(elsewhere)
    assert key == key_of(whole), "what is kept is no part of the key"
    assert elsewhere.names("surrogate", key) == ["epoch-001"]
    assert elsewhere.data("surrogate", key, "epoch-001") == whole.data("surrogate", key, "epoch-001")
    told = json.loads(done("plan", "tiny.yaml", "--json"))
    assert [one["label"] for one in told["stages"] if one["kind"] == "surrogate" and not one["done"]]
    again = ask("run", "tiny.yaml", "--no-mlflow")
    assert again.code == 0, again.err
    assert "it was kept without checkpoints that are now needed" in again.err
    assert elsewhere.names("surrogate", key) == ["epoch-000", "epoch-001"]
    for craft in (path.name for path in (whole.root / "craft").glob("*/*")):
        assert elsewhere.data("craft", craft, "protected") == whole.data("craft", craft, "protected")
    assert "nothing is left to do" in done("plan", "tiny.yaml", *LAST)


@pytest.mark.slow
@pytest.mark.usefixtures("all_are_large")
def test_a_diagnosis_takes_the_checkpoints_that_there_are(finished: Finished, elsewhere: Store) -> None:
    done("run", "tiny.yaml", *LAST, "--no-mlflow")
    told = ask("diagnose", "tiny.yaml", *LAST, "--no-mlflow")
    assert told.code == 0, told.err
    assert "one network" in told.out


@pytest.mark.usefixtures("all_are_large")
def test_training_begun_without_a_checkpoint_that_is_needed_begins_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    experiment = Experiment.model_validate(LEARNING)
    splits, store = load(experiment.dataset), Store(tmp_path)
    job = replace(job_of(recipe=LEARNING["recipe"]), asked=(Surrogate(at=(2,)),))
    with pytest.raises(Stopped):
        trained(job, splits, store, "begun", stop_at=2)
    assert store.draft("surrogate", "begun").names() == ["state"]
    wider = replace(job, asked=(Surrogate(at=(1, 2)),))
    names = trained(wider, splits, store, "begun")
    assert names == trained(wider, splits, store, "undisturbed") == ["epoch-001", "epoch-002"]
    assert "has not kept all checkpoints needed: it begins anew" in caplog.text
    drafts = (store.draft("surrogate", one) for one in ("begun", "undisturbed"))
    begun, undisturbed = ({name: draft.data(name) for name in names} for draft in drafts)
    assert begun == undisturbed


def trained(job: SurrogateJob, splits: Splits, store: Store, key: str, stop_at: int | None = None) -> Sequence[str]:
    """Train until the safe point after so many epochs, or to the end; return the names of the checkpoints to keep."""
    epochs = 0

    def safe_point() -> None:
        nonlocal epochs
        epochs += 1
        if epochs == stop_at:
            raise Stopped("a test asked for it")

    bench = Workbench(splits, store, torch.device("cpu"), on_safe_point=safe_point)
    return train_surrogate(job, bench, store.draft("surrogate", key))[1]
