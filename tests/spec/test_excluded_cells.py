"""Cells that an experiment leaves out."""

import pytest

from bench.core.errors import SepbenchError
from bench.spec.experiment import Experiment
from bench.spec.file import load_experiment

FIELDS = {
    "name": "tracks",
    "recipe": "digits",
    "dataset": "digits",
    "surrogate": "resnet8",
    "budgets": ["linf-8", "l2-1"],
    "methods": ["random-noise", "class-noise", {"sep": {"checkpoints": 2}}],
    "victims": ["resnet8"],
    "defenses": ["plain", "jpeg-10"],
    "seeds": [0, 1],
}


def with_excluded(*entries: object) -> Experiment:
    return load_experiment({**FIELDS, "exclude": list(entries)})


def rows(experiment: Experiment) -> set[tuple[str, str, str, int]]:
    return {(c.method.name, str(c.budget), str(c.defense), c.seed) for c in experiment.cells()}


def test_a_cell_is_left_out_that_has_one_of_the_values_of_every_field() -> None:
    complete = rows(load_experiment(FIELDS))
    left = rows(with_excluded({"method": ["sep", "class-noise"], "budget": "l2-1"}, {"defense": "jpeg-10", "seed": 1}))
    assert complete - left == {
        (method, budget, defense, seed)
        for method, budget, defense, seed in complete
        if (method in ("sep", "class-noise") and budget == "l2-1") or (defense, seed) == ("jpeg-10", 1)
    }
    assert left < complete


def test_it_is_the_same_experiment_after_a_round_trip() -> None:
    experiment = with_excluded({"seed": 1, "method": "none"})
    assert rows(Experiment.model_validate(experiment.resolved())) == rows(experiment)
    assert ("none", "None", "plain", 1) not in rows(experiment)


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"metod": "sep"}, "exclude.0: unknown field of exclude 'metod': did you mean method?"),
        (
            {"method": "spe"},
            "exclude.0: exclude method=spe: no cell has it; choose from class-noise, none",
        ),
        ({"seed": []}, "exclude.0.seed: must not be empty"),
        ({}, "exclude.0: must not be empty"),
        ({"method": None}, "exclude.0.method: must be a value or a list of values, and nothing is given"),
        ({"method": ["sep", ["none"]]}, "exclude.0.method: must be a value or a list of values, not ['none']"),
        ({"seed": [0, 1]}, "exclude: it leaves no cell of the experiment: exclude fewer"),
    ],
)
def test_what_cannot_be_left_out_is_one_sentence(entry: dict[str, object], sentence: str) -> None:
    with pytest.raises(SepbenchError) as refusal:
        with_excluded(entry)
    assert sentence in str(refusal.value)


def test_what_a_change_takes_away_need_not_be_left_out_any_more() -> None:
    both = {"method": ["random-noise", "class-noise"], "budget": "l2-1"}
    file = {**FIELDS, "exclude": [both, {"defense": "jpeg-10"}]}
    changed = load_experiment(file, overrides=["methods=[none, random-noise]", "defenses=plain"])
    assert changed.exclude == ({"method": ["random-noise"], "budget": ["l2-1"]},)
    assert {method for method, *_ in rows(changed)} == {"none", "random-noise"}
    assert load_experiment(file, overrides=["methods=none", "defenses=plain"]).exclude == ()
    with pytest.raises(SepbenchError, match=r"exclude\.0: exclude method=spe: no cell has it"):
        load_experiment({**FIELDS, "exclude": [{"method": "spe"}]}, overrides=["seeds=[5]"])
    with pytest.raises(SepbenchError, match="exclude method=sep: no cell has it"):
        load_experiment(file, overrides=["methods=random-noise", "exclude=[{method: sep}]"])


@pytest.mark.parametrize(
    "entry", [{"defense": "jpeg:quality=10"}, {"budget": ["linf-8.0"]}, {"budget": "linf-8", "defense": "jpeg-10"}]
)
def test_defenses_and_budgets_are_known_however_they_are_written(entry: dict[str, object]) -> None:
    left = rows(load_experiment(FIELDS)) - rows(with_excluded(entry))
    assert {defense for _, _, defense, _ in left} == ({"jpeg-10"} if "defense" in entry else {"plain", "jpeg-10"})
    assert {budget for _, budget, _, _ in left} == ({"linf-8"} if "budget" in entry else {"linf-8", "l2-1", "None"})
