"""A key depends on what decides the stage's result, and on nothing else."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.api import ARCHITECTURES, METHODS
from bench.contracts import placement
from bench.contracts.defense import Defenses
from bench.core.keys import canonical, key, key_of_texts
from bench.data.loading import DataCard
from bench.engine import recipe, release, training
from bench.plan import make
from bench.plan.make import make_plan, plan_experiment
from bench.plan.plan import Plan
from bench.spec.experiment import Experiment
from bench.store.home import Home
from tests.making.cards import CARD, WITH_MORE
from tests.making.experiments import LEARNING

PROTECTED = {"craft random-noise", "craft sep"}
VICTIMS = {"victim none", "victim random-noise", "victim sep"}
OF_SEP = {"craft sep", "victim sep"}
OF_THE_SURROGATE = {"surrogate", *OF_SEP}
ALL = {"surrogate", "craft none", *PROTECTED, *VICTIMS}


def plan(card: DataCard = CARD, **changes: Any) -> Plan:
    return make_plan(Experiment.model_validate({**LEARNING, **changes}), card)


def keys(card: DataCard = CARD, **changes: Any) -> dict[str, str]:
    """Return the key of every stage of the tiny experiment with changed fields, one cell a method."""
    found: dict[str, str] = {}
    for planned in plan(card, **changes).cells:
        method = planned.cell.method.name
        assert f"victim {method}" not in found
        found |= {f"craft {method}": planned.craft, f"victim {method}": planned.victim}
        for surrogate in planned.surrogates:
            found["surrogate"] = surrogate
    return found


def changed(card: DataCard = CARD, **changes: Any) -> set[str]:
    """Return the stages whose keys are others than the tiny experiment's."""
    before, after = keys(), keys(card, **changes)
    assert before.keys() == after.keys()
    return {stage for stage in before if before[stage] != after[stage]}


def with_sep(**params: Any) -> list[Any]:
    return ["none", "random-noise", {"sep": {"checkpoints": 2, "steps": 2, "step_size": 16, **params}}]


def test_every_stage_has_a_key_of_its_own() -> None:
    assert keys().keys() == ALL
    assert len(set(keys().values())) == len(ALL)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other"},
        {"title": "other"},
        {"profile": "cpu", "overrides": ["recipe.epochs=3"]},
        {"table": {"rows": "method", "columns": ["victim"], "value": "peak_acc"}},
        {"dataset": {"name": "other", "format": "digits", "limit": 150}},  # the card says which bytes they are
        {"defenses": ["plain"], "surrogate_seeds": [0], "craft_seeds": [0]},
        {"methods": with_sep(shift=None, network=None)},
        {"protected_fractions": [1.0], "clean_images": [0]},
        {"recipe": {**LEARNING["recipe"], "precision": "auto"}},
        {"recipe": {**LEARNING["recipe"], "momentum": 0.9, "lr": 0.1}},
        {"recipe": {**LEARNING["recipe"], "normalisation": "measured", "augment_protected": True}},
    ],
    ids=lambda changes: "+".join(changes),
)
def test_what_decides_no_result_is_in_no_key(changes: dict[str, Any]) -> None:
    assert changed(**changes) == set()


def test_the_victim_seed_is_in_the_keys_of_victims() -> None:
    assert changed(seeds=[1]) == VICTIMS


def test_the_surrogate_seed_is_in_the_keys_of_the_surrogate_and_what_is_made_from_it() -> None:
    assert changed(surrogate_seeds=[1]) == OF_THE_SURROGATE


def test_the_craft_seed_is_in_the_keys_of_protected_sets_and_their_victims() -> None:
    assert changed(craft_seeds=[1]) == ALL - {"surrogate"}


@pytest.mark.parametrize(
    "field",
    [
        {"epochs": 4},
        {"batch_size": 25},
        {"lr": 0.2},
        {"momentum": 0.8},
        {"precision": "bf16"},
        {"weight_decay": 0.0},
        {"nesterov": True},
        {"schedule": {"kind": "cosine"}},
        {"schedule": {"kind": "one-cycle", "rise": 0.5}},
        {"warmup_epochs": 1},
        {"augmentation": {"crop_padding": 2, "flip": False}},
        {"augmentation": {"crop_padding": 1, "flip": True}},
        {"normalise": False},
        {"normalisation": "cifar10"},
        {"clip_gradient": 1.0},
    ],
    ids=str,
)
def test_every_recipe_field_is_in_the_keys_of_trainings_and_what_is_made_from_them(field: dict[str, Any]) -> None:
    assert changed(recipe={**LEARNING["recipe"], **field}) == OF_THE_SURROGATE | VICTIMS


def test_protected_images_as_stored_are_in_the_keys_of_victims_alone() -> None:
    assert changed(recipe={**LEARNING["recipe"], "augment_protected": False}) == VICTIMS


def test_a_new_version_of_a_part_is_in_the_keys_of_what_has_that_part(monkeypatch: pytest.MonkeyPatch) -> None:
    def differ(module: Any, constant: str, **changes: Any) -> bool:
        before = keys(**changes)
        monkeypatch.setattr(module, constant, 1000)
        after = keys(**changes)
        monkeypatch.undo()
        return before["craft sep"] != after["craft sep"]

    warm = {"recipe": {**LEARNING["recipe"], "warmup_epochs": 1}}
    assert (differ(recipe, "_WARMUP_VERSION", **warm), differ(recipe, "_WARMUP_VERSION")) == (True, False)
    improving = {"methods": with_sep(placement="improving")}
    assert differ(placement, "IMPROVING_VERSION", **improving)
    assert not differ(placement, "IMPROVING_VERSION")


def test_a_revision_of_a_method_is_in_the_keys_of_its_results_from_the_second_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = keys()
    for revision, expected in ((1, set()), (2, OF_SEP), (3, OF_SEP)):
        monkeypatch.setattr(METHODS.get("sep"), "revision", revision)
        after = keys()
        assert {stage for stage in before if before[stage] != after[stage]} == expected


def test_only_means_in_train_mode_are_a_revision_of_feature_alignment() -> None:
    for name in ("sep-fa", "sep-fa-vr"):
        kind = METHODS.get(name)
        revisions = [kind(kind.Params.model_validate({"train_mode_means": one})).revision for one in (False, True)]
        assert revisions == [1, 2]


def test_that_a_last_image_joins_the_batch_before_is_in_the_keys_where_it_does_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def keys(n_train: int) -> set[str]:
        card = CARD.model_copy(update={"n_train": n_train, "n_protected": n_train})
        return set(make_plan(Experiment.model_validate(LEARNING), card).stages)  # in batches of 20

    joined, others = keys(201), {count: keys(count) for count in (200, 202, 20, 19, 1)}
    monkeypatch.setattr(make, "joins", lambda count, size: False)
    assert all(keys(count) == found for count, found in others.items())
    assert len(joined - keys(201)) == len(OF_THE_SURROGATE | VICTIMS)


@pytest.mark.parametrize("param", [{"checkpoints": 3}, {"steps": 3}, {"step_size": 4}, {"shift": 1}], ids=str)
def test_a_method_parameter_is_in_the_keys_of_its_protected_set_and_its_victims(param: dict[str, Any]) -> None:
    assert changed(methods=with_sep(**param)) == OF_SEP


def test_the_budget_is_in_the_keys_of_protected_sets_and_their_victims() -> None:
    assert changed(budgets=["linf-16"]) == PROTECTED | OF_SEP | {"victim random-noise"}


def test_the_norm_of_a_budget_is_in_the_keys() -> None:
    assert changed(budgets=["l2-32"]) == PROTECTED | OF_SEP | {"victim random-noise"}


def test_the_training_data_are_in_every_key() -> None:
    assert changed(CARD.model_copy(update={"train_sha256": "c" * 64})) == ALL


def test_the_test_data_are_in_the_keys_of_all_that_is_judged_on_them() -> None:
    assert changed(CARD.model_copy(update={"test_sha256": "c" * 64})) == OF_THE_SURROGATE | VICTIMS


def test_the_surrogate_architecture_is_in_the_keys_of_what_is_made_from_it() -> None:
    assert changed(surrogate="resnet18") == OF_THE_SURROGATE


def test_the_victim_architecture_is_in_the_keys_of_victims() -> None:
    assert changed(victims=["resnet18"]) == VICTIMS


def test_the_defense_is_in_the_keys_of_victims() -> None:
    assert changed(defenses=["no-augmentation"]) == VICTIMS


def test_a_new_version_of_a_plugin_is_in_the_keys_of_its_results(monkeypatch: pytest.MonkeyPatch) -> None:
    before = keys()
    monkeypatch.setattr(METHODS.get("sep"), "version", 1000)
    after = keys()
    assert {stage for stage in before if before[stage] != after[stage]} == OF_SEP
    monkeypatch.undo()
    monkeypatch.setattr(ARCHITECTURES.get("resnet8"), "version", 1000, raising=False)
    after = keys()
    assert {stage for stage in before if before[stage] != after[stage]} == OF_THE_SURROGATE | VICTIMS


def test_a_new_version_of_the_harness_is_in_the_keys_of_its_results(monkeypatch: pytest.MonkeyPatch) -> None:
    before = keys()
    monkeypatch.setattr(training, "VERSION", 1000)
    after = keys()
    assert {stage for stage in before if before[stage] != after[stage]} == OF_THE_SURROGATE | VICTIMS
    monkeypatch.undo()
    monkeypatch.setattr(release, "VERSION", 1000)
    after = keys()
    assert {stage for stage in before if before[stage] != after[stage]} == ALL - {"surrogate"}


def test_the_order_in_the_file_changes_no_key() -> None:
    there = plan(seeds=[0, 1], budgets=["linf-16", "linf-32"], defenses=["plain", "no-augmentation"])
    back = plan(
        seeds=[1, 0],
        budgets=["linf-32", "linf-16"],
        defenses=["no-augmentation", "plain"],
        methods=with_sep()[::-1],
    )
    assert there.stages.keys() == back.stages.keys()
    assert {planned.victim for planned in there.cells} == {planned.victim for planned in back.cells}


@pytest.mark.parametrize(
    "more",
    [
        {"seeds": [0, 1]},
        {"surrogate_seeds": [0, 1]},
        {"craft_seeds": [0, 1]},
        {"budgets": ["linf-32", "linf-16"]},
        {"defenses": ["plain", "no-augmentation"]},
        {"victims": ["resnet8", "resnet18"]},
        {"methods": [*with_sep(), {"sep": {"checkpoints": 1, "steps": 2}}]},
    ],
    ids=lambda more: "+".join(more),
)
def test_what_is_added_later_leaves_the_earlier_keys_as_they_are(more: dict[str, Any]) -> None:
    before, after = plan().stages, plan(**more).stages
    assert before.keys() < after.keys()


def test_the_same_images_have_the_same_keys_from_another_path_into_another_home(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    arrays: dict[str, Any] = {
        "x_train": random.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8),
        "y_train": np.arange(20) % 10,
        "x_test": random.integers(0, 256, (10, 8, 8, 3), dtype=np.uint8),
        "y_test": np.arange(10),
    }
    plans = []
    for place in ("here", "there"):
        folder = tmp_path / place
        folder.mkdir()
        np.savez(folder / f"{place}.npz", **arrays)
        dataset = {"name": place, "format": "npz", "path": str(folder / f"{place}.npz")}
        experiment = Experiment.model_validate({**LEARNING, "dataset": dataset})
        plans.append(plan_experiment(experiment, Home(folder / "home").cards))
    assert plans[0].stages.keys() == plans[1].stages.keys()


def test_methods_share_a_surrogate_and_victims_a_protected_set() -> None:
    stages = plan(
        methods=[{"sep": {"checkpoints": [1, 2, 3], "steps": 2}}], seeds=[0, 1], defenses=["plain", "no-augmentation"]
    ).stages.values()
    assert [sum(stage.kind == kind for stage in stages) for kind in ("surrogate", "craft", "victim")] == [1, 4, 16]


def test_a_smaller_protected_fraction_is_another_victim_of_the_same_release() -> None:
    before, after = plan(), plan(protected_fractions=[0.5])
    assert [one.craft for one in before.cells] == [one.craft for one in after.cells]
    victims = {one.cell.method.name: one.victim for one in before.cells}
    others = {one.cell.method.name for one in after.cells if one.victim != victims[one.cell.method.name]}
    assert others == {"random-noise", "sep"}, "without protection there is nothing to protect a part of"


def test_further_clean_images_are_other_victims_and_count_by_their_content() -> None:
    assert changed(WITH_MORE, clean_images=[50]) == VICTIMS
    other = WITH_MORE.model_copy(update={"extra_sha256": {50: "d" * 64}})
    first, second = keys(WITH_MORE, clean_images=[50]), keys(other, clean_images=[50])
    assert {stage for stage in first if first[stage] != second[stage]} == VICTIMS


def test_a_key_of_texts_is_the_key_of_what_they_say() -> None:
    value = {"b": ["é", 1.5, None], "a": {"d": True, "c": 2**70}, "ab": '"quoted"'}
    assert key_of_texts({name: canonical(part) for name, part in value.items()}) == key(value)


def test_what_a_defense_reads_is_digested_once_a_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    identity = Defenses.identity

    def note(self: Defenses) -> Any:
        asked.append(str(self))
        return identity(self)

    monkeypatch.setattr(Defenses, "identity", note)
    experiment = Experiment.model_validate({**LEARNING, "defenses": ["cutout", "mixup"], "seeds": [0, 1, 2]})
    for _ in range(2):  # a second plan asks again: files may have changed
        asked.clear()
        make_plan(experiment, CARD)
        assert sorted(asked) == ["cutout-16", "mixup", "plain"]


def test_equal_rows_are_one_row() -> None:
    twice = Experiment.model_validate({**LEARNING, "methods": ["random-noise", {"random-noise": {}}]})
    once = Experiment.model_validate({**LEARNING, "methods": ["random-noise"]})
    assert [cell.identity() for cell in twice.cells()] == [cell.identity() for cell in once.cells()]
