"""Rows whose steps cannot use their budget are named before anything runs."""

from typing import Any

import pytest

from bench.contracts.budget import Budget
from bench.contracts.method import METHODS
from bench.plan.unreached import unreached
from bench.spec.experiment import Experiment
from tests.making.experiments import FIELDS

ADVICE = "as far as all its steps together go: ask for more or longer ones"


def clauses(method: Any, *budgets: str) -> list[str]:
    return list(unreached(Experiment.model_validate({**FIELDS, "methods": [method], "budgets": [*budgets]})))


def test_steps_of_one_level_that_are_fewer_than_the_levels_are_told() -> None:
    assert clauses({"sep": {"checkpoints": 1, "steps": 10}}, "linf-8", "linf-16") == [
        f"sep uses at most 10 of the 16 levels of linf-16, {ADVICE}"
    ]


def test_steps_that_just_reach_are_not() -> None:
    assert clauses({"sep": {"checkpoints": 1, "steps": [10, 30], "step_size": [1.6, 2.0]}}, "linf-16") == []
    assert clauses({"sep": {"checkpoints": 1, "steps": 3, "step_size": 5.3}}, "linf-16") == [
        f"sep uses at most 15.9 of the 16 levels of linf-16, {ADVICE}"
    ]


def test_the_row_is_named_as_in_the_table() -> None:
    (clause,) = clauses({"sep": {"checkpoints": 1, "steps": [4, 40]}}, "linf-8")
    assert clause.startswith("sep (steps=4) uses at most 4 of the 8 levels")


def test_l2_steps_suit_any_radius_unless_they_are_given() -> None:
    assert clauses({"sep": {"checkpoints": 1, "steps": 2}}, "l2-1") == []
    assert clauses({"sep": {"checkpoints": 1, "steps": 2, "step_size": 0.25}}, "l2-1") == [
        f"sep uses at most 0.5 of the 1 l2 norm of l2-1, {ADVICE}"
    ]


@pytest.mark.parametrize(
    ("params", "share"),
    [({"steps": 10}, 10 / 16), ({"steps": 10, "step_fraction": 0.05}, 0.5), ({"steps": 10, "start": "normal"}, None)],
)
def test_one_checkpoint_reaches_as_far_as_its_steps_or_anywhere_from_a_random_start(
    params: dict[str, Any], share: float | None
) -> None:
    kind = METHODS.get("single-checkpoint")
    reach = kind(kind.Params.model_validate(params)).reach(Budget.parse("linf-16"))
    assert reach == (None if share is None else pytest.approx(share))


def test_nothing_is_said_of_methods_without_such_steps() -> None:
    assert clauses("random-noise", "linf-16") == []
    assert clauses("class-noise", "linf-16") == []
