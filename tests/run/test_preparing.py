"""What a method does before its first shard is told while it goes on, and a run that is to stop does so there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from bench.contracts.budget import Budget
from bench.contracts.context import CraftContext
from bench.contracts.method import METHODS, CraftData, Method
from bench.core.errors import Stopped
from bench.data.loading import load
from bench.plan.estimate import FORWARD_SHARE
from bench.plan.make import plan_experiment
from bench.plan.stage import Stage
from bench.run.stages.dispatch import run_stage
from bench.run.stages.kept_rounds import KeptRounds
from bench.run.stages.workbench import Workbench
from bench.spec.experiment import Experiment
from bench.store.artifacts import Store
from tests.making.experiments import FIELDS
from tests.making.networks import CPU

DUNE = {"dune": {"steps": 2, "checkpoints": 1, "particles": 3, "iterations": 2, "images": 4}}
PIL = {"pil": {"epochs": 5, "steps": 2}}


def crafting(method: dict[str, Any], home: Path, budget: str) -> tuple[Stage, Callable[..., dict[str, Any]]]:
    """Return the stage that crafts, and what makes it, once its surrogate is there."""
    experiment = Experiment.model_validate(
        {
            **FIELDS,
            "recipe": {"name": "digits", "epochs": 1},
            "dataset": {"name": "digits", "limit": 40, "test_limit": 20},
            "methods": [method],
            "budgets": [budget],
        }
    )
    plan = plan_experiment(experiment, home / "cards")
    splits, store = load(experiment.dataset), Store(home / "store")
    *before, stage = (stage for stage in plan.stages.values() if stage.kind != "victim")
    for needed in before:
        run_stage(needed, Workbench(splits, store, CPU))
    return stage, lambda **how: run_stage(stage, Workbench(splits, store, CPU, **how))


def test_a_search_counts_as_what_its_passes_forward_take(tmp_path: Path) -> None:
    stage, make = crafting(DUNE, tmp_path, "unbounded")
    told: list[float] = []
    make(on_progress=told.append)
    assert (stage.passes, stage.forward_passes) == (2, 6)
    share = FORWARD_SHARE * 6 / (FORWARD_SHARE * 6 + 2)
    searched = [share * done / 6 for done in (1, 2, 3, 3, 4, 5, 6, 6)]  # an iteration ends as its last particle does
    crafted = [share + (1 - share) * done for done in (0.5, 1, 1)]  # and the shard as its last step
    assert told == pytest.approx(searched + crafted)


@pytest.mark.parametrize(("method", "budget"), [(DUNE, "unbounded"), (PIL, "linf-8")], ids=["dune", "pil"])
def test_it_stops_in_between_and_the_next_run_makes_the_same(
    method: dict[str, Any], budget: str, tmp_path: Path
) -> None:
    points = 0

    def safe_point() -> None:
        nonlocal points
        points += 1
        if points == 3:
            raise Stopped("a test asked for it")

    stage, make = crafting(method, tmp_path / "stopped", budget)
    with pytest.raises(Stopped):
        make(on_safe_point=safe_point)
    assert points == 3
    again = make()
    assert again["sha256"] == crafting(method, tmp_path / "undisturbed", budget)[1]()["sha256"]
    assert not Store(tmp_path / "stopped" / "store").draft("craft", stage.key).names()


def test_a_search_goes_on_with_the_round_that_it_was_stopped_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KeptRounds, "due", lambda self: True)
    monkeypatch.setattr("bench.run.stages.shards.SHARD", 20)
    undisturbed = crafting(DUNE, tmp_path / "undisturbed", "unbounded")[1]()
    stage, make = crafting(DUNE, tmp_path / "stopped", "unbounded")
    told: list[float] = []

    def safe_point() -> None:
        if len(told) == 5:
            raise Stopped("a test asked for it")

    with pytest.raises(Stopped):
        make(on_progress=told.append, on_safe_point=safe_point)
    draft = Store(tmp_path / "stopped" / "store").draft("craft", stage.key)
    assert draft.info("state-colours")["done"] == 1  # of two iterations of three particles
    draft.put("state-colours", draft.tensors("state-colours"), {**draft.info("state-colours"), "seconds": 1e6})
    afterwards: list[float] = []
    again = make(on_progress=afterwards.append)
    assert again["sha256"] == undisturbed["sha256"]
    assert afterwards[:4] == told[4:5] + [pytest.approx(told[4] * parts / 4) for parts in (5, 6, 6)]
    assert 1e6 < again["seconds"] < 2e6  # of two shards one bears what was searched before


def test_of_shards_nothing_is_kept_between_rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keepers: list[object] = []

    def prepare(self: Method, data: object, ctx: CraftContext) -> None:
        keepers.append(ctx.keeper)

    def craft(self: Method, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        keepers.append(ctx.keeper)
        return data.x

    monkeypatch.setattr(METHODS.get("dune"), "prepare", prepare)
    monkeypatch.setattr(METHODS.get("dune"), "craft", craft)
    crafting(DUNE, tmp_path, "unbounded")[1]()
    prepared, crafted = keepers
    assert prepared is not None
    assert crafted is None
