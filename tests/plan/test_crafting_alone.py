"""Plans of protected sets alone: what they have in common with those of victims, and what they leave out."""

from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import SepbenchError
from bench.plan.make import make_plan, plan_experiment
from bench.plan.plan import Plan
from bench.spec.experiment import Experiment
from tests.making.cards import CARD
from tests.making.experiments import LEARNING
from tests.making.pictures import file_of, photo, put


def whole() -> Plan:
    return make_plan(Experiment.model_validate(LEARNING), CARD)


def has(*kinds: str) -> Any:
    return lambda kind, key: kind in kinds


def test_the_stages_are_those_of_the_experiment_without_its_victims() -> None:
    alone = whole().crafting()
    assert alone.cells == ()
    assert [key for key, stage in whole().stages.items() if stage.kind != "victim"] == [*alone.stages]


def test_what_is_to_be_done_ends_with_the_protected_sets() -> None:
    alone = whole().crafting()
    assert {stage.kind for stage in alone.missing(has())} == {"surrogate", "craft"}
    assert {stage.kind for stage in alone.missing(has("surrogate"))} == {"craft"}
    assert alone.missing(has("craft")) == []  # and no surrogate that only finished sets have needed


def test_a_plan_with_victims_is_still_done_once_they_are() -> None:
    assert whole().missing(has("victim")) == []
    assert {stage.kind for stage in whole().missing(has("craft"))} == {"victim"}


def test_pictures_of_which_none_is_held_out_can_be_protected_and_no_victim_judged(tmp_path: Path) -> None:
    names = ["cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"]
    put(tmp_path / "pets", {name: file_of(photo(16, 16)) for name in names})
    data = {"name": "pets", "format": "imagefolder", "train": str(tmp_path / "pets"), "holdout": 0.0}
    experiment = Experiment.model_validate({**LEARNING, "dataset": data})
    assert plan_experiment(experiment, tmp_path / "cards", crafting=True).cells == ()
    with pytest.raises(SepbenchError, match="no image of 'pets' is held out, so that no victim can be judged"):
        plan_experiment(experiment, tmp_path / "cards")
