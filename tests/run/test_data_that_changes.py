"""A run whose data changes: no result stands under the key of other data."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.cli.options import planned as planned_for
from bench.core.errors import SepbenchError
from bench.data.loading import load_planned
from bench.plan.make import plan_experiment
from bench.plan.plan import Plan
from bench.plan.stage import Stage
from bench.run.executors.executor import Workplace
from bench.run.invocation import Invocation, Summary, run_plan
from bench.run.progress import Clock, PlainProgress
from bench.run.stopping import Stop
from bench.spec.experiment import Experiment
from bench.store.home import Home
from tests.making.asking import ask, done, write
from tests.making.experiments import FIELDS
from tests.making.quiet_changes import replace_quietly, write_quietly
from tests.making.tiny_data import pixels

pytestmark = pytest.mark.usefixtures("settled_files")

LABELS = np.arange(24) % 3
EXPERIMENT = Experiment.model_validate(
    {
        **FIELDS,
        "name": "one-cell",
        "recipe": {"name": "digits", "epochs": 1},
        "dataset": {"name": "mine", "format": "npz", "train": "train.npz", "test": "test.npz"},
        "methods": ["random-noise"],
    }
)
HOME = Home(Path("home"))


@pytest.fixture(autouse=True)
def _data(own_place: None) -> None:
    for seed, split in enumerate(("train", "test")):
        np.savez(f"{split}.npz", images=pixels(24, seed=seed, side=16), labels=LABELS)


def other_pixels() -> bytes:
    """Return a training file of the same size with other images."""
    archive = io.BytesIO()
    np.savez(archive, images=pixels(24, seed=7, side=16), labels=LABELS)
    assert len(archive.getvalue()) == Path("train.npz").stat().st_size
    return archive.getvalue()


def planned() -> Plan:
    return plan_experiment(EXPERIMENT, HOME.cards)


class Watcher(PlainProgress):
    """Does something once, before the first stage starts."""

    def __init__(self, act: Callable[[], None]) -> None:
        super().__init__([], Clock([], lambda stage: 0.0), io.StringIO())
        self._acts = [act]

    def started(self, stage: Stage) -> None:
        while self._acts:
            self._acts.pop()()
        super().started(stage)


def run(plan: Plan, act: Callable[[], None] = lambda: None) -> Summary:
    return run_plan(plan, Invocation(Workplace(HOME, torch.device("cpu"), Watcher(act), Stop())))


@pytest.mark.parametrize("change", [write_quietly, replace_quietly])
def test_data_that_changed_since_the_last_run_is_run_anew(change: Callable[[Path, bytes], None]) -> None:
    before = run(planned())
    change(Path("train.npz"), other_pixels())
    plan = planned()
    assert len(plan.missing(HOME.store.inventory())) == len(plan.stages)
    after = run(plan)
    assert {one.train_sha256 for one in after.records} == {plan.card.train_sha256}
    assert {one.key for one in before.records}.isdisjoint(one.key for one in after.records)


@pytest.mark.parametrize("change", [write_quietly, replace_quietly])
def test_data_that_changes_after_the_plan_is_refused_and_nothing_is_kept(
    change: Callable[[Path, bytes], None],
) -> None:
    plan = planned()
    change(Path("train.npz"), other_pixels())
    with pytest.raises(SepbenchError) as refused:
        run(plan)
    assert str(refused.value) == (
        "the files of data set 'mine' changed after the plan was made: run the same command again"
    )
    assert not HOME.store.root.exists()
    again = planned()
    assert run(again).stages == len(again.stages) == 4
    assert plan.stages.keys().isdisjoint(again.stages)


def test_data_that_changes_while_stages_run_leaves_the_results_of_what_was_read() -> None:
    plan = planned()
    summary = run(plan, lambda: write_quietly(Path("train.npz"), other_pixels()))
    assert not summary.failures
    assert {one.key for one in summary.records} == {cell.victim for cell in plan.cells}
    clean = next(cell.craft for cell in plan.cells if cell.cell.method.name == "none")
    released = HOME.store.tensors("craft", clean, "protected")["images"]
    assert np.array_equal(released.permute(0, 2, 3, 1).numpy(), pixels(24, side=16))
    assert len(planned().missing(HOME.store.inventory())) == len(plan.stages)


def test_whoever_loads_data_for_a_plan_gets_the_data_of_the_plan() -> None:
    plan, spec = planned(), EXPERIMENT.dataset
    assert load_planned(spec, plan.card, HOME.cards).train.sha256 == plan.card.train_sha256
    write_quietly(Path("train.npz"), other_pixels())
    with pytest.raises(SepbenchError, match="changed after the plan was made"):
        load_planned(spec, plan.card, HOME.cards)


def test_a_diagnosis_takes_no_other_data_than_its_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(
        "name: mine\nrecipe: {name: digits, epochs: 2}\nsurrogate: resnet8\nbudgets: [linf-32]\nvictims: [resnet8]\n"
        "dataset: {name: mine, format: npz, train: train.npz, test: test.npz}\n"
        "methods: [{sep: {checkpoints: 2, steps: 1}}]\n"
    )
    done("run", file, "--no-mlflow")

    def plan_and_change(*arguments: Any, **options: Any) -> Plan:
        plan = planned_for(*arguments, **options)
        write_quietly(Path("train.npz"), other_pixels())
        return plan

    monkeypatch.setattr("bench.cli.reading.planned", plan_and_change)
    answer = ask("diagnose", file, "--no-mlflow")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.endswith("changed after the plan was made: run the same command again\n")
