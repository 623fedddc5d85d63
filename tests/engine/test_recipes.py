"""Learning rates against closed forms, and the recipe files against the published protocols."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.engine.recipe import Recipe, recipe_names

_FIELD = {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4, "nesterov": False}
_NO_WARMUP = {"warmup_epochs": 0, "clip_gradient": None}
_CROP_AND_FLIP = {"crop_padding": 4, "flip": True}
PUBLISHED: dict[str, dict[str, Any]] = {
    "sep-2023": _FIELD
    | {"epochs": 120, "batch_size": 128, "schedule": {"kind": "steps", "at": [75, 90], "factor": 0.1}}
    | {"warmup_epochs": 1, "warmup_from": 0.001, "clip_gradient": None}
    | {"augmentation": _CROP_AND_FLIP, "normalise": True},
    "iss-2023": _FIELD
    | _NO_WARMUP
    | {"epochs": 60, "batch_size": 128, "schedule": {"kind": "cosine", "each": "epoch"}}
    | {"augmentation": _CROP_AND_FLIP, "normalise": False},
    "apbench-2023": _FIELD
    | _NO_WARMUP
    | {"epochs": 200, "batch_size": 256, "schedule": {"kind": "steps", "at": [100], "factor": 0.5}}
    | {"augmentation": _CROP_AND_FLIP, "normalise": False},
    "em-2021": _FIELD
    | {"epochs": 60, "batch_size": 128, "schedule": {"kind": "cosine", "each": "epoch"}}
    | {"warmup_epochs": 0, "clip_gradient": 5.0}
    | {"augmentation": _CROP_AND_FLIP, "normalise": False},
    "bridgepure-2025": _FIELD
    | _NO_WARMUP
    | {"epochs": 120, "batch_size": 128, "schedule": {"kind": "steps", "at": [80, 100], "factor": 0.1}},
}


def recipe(**fields: Any) -> Recipe:
    return Recipe.model_validate(
        {"name": "made", "source": "a test", "epochs": 10, "batch_size": 8, "lr": 0.1} | fields
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_recipe_file_says_what_was_published(name: str) -> None:
    fields = Recipe.model_validate(name).training_fields()
    assert {field: fields[field] for field in PUBLISHED[name]} == PUBLISHED[name]


def test_the_protocols_that_results_are_compared_under_are_shipped() -> None:
    assert {*PUBLISHED, "fast"} <= set(recipe_names())


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_names_its_source_and_ends_after_its_last_step(name: str) -> None:
    read = Recipe.model_validate(name)
    assert read.name == name
    assert read.source
    assert read.rate(0, 10) >= 0
    if read.schedule.kind == "steps":
        assert list(read.schedule.at) == sorted(read.schedule.at)
        assert read.schedule.at[-1] < read.epochs


@pytest.mark.parametrize(
    ("batch", "rate"),
    [
        (0, 0.001 + 0.099 / 391),  # 0.00125
        (1, 0.001 + 0.099 * 2 / 391),
        (195, 0.001 + 0.099 * 196 / 391),
        (389, 0.001 + 0.099 * 390 / 391),
        (390, 0.1),
        (391, 0.1),
        (75 * 391 - 1, 0.1),
        (75 * 391, 0.01),
        (90 * 391 - 1, 0.01),
        (90 * 391, 0.001),
        (120 * 391 - 1, 0.001),
    ],
)
def test_the_paper_warms_up_for_an_epoch_and_divides_by_ten_at_75_and_90(batch: int, rate: float) -> None:
    # 50,000 images in batches of 128 are 391 batches an epoch.
    assert Recipe.model_validate("sep-2023").rate(batch, 391) == pytest.approx(rate, rel=1e-12)


@pytest.mark.parametrize(
    ("epoch", "rate"), [(0, 0.1), (1, 0.0999315), (20, 0.075), (30, 0.05), (40, 0.025), (59, 6.85e-5)]
)
@pytest.mark.parametrize("name", ["em-2021", "iss-2023"])
def test_unlearnable_examples_and_image_shortcut_squeezing_set_their_cosine_once_an_epoch(
    name: str, epoch: int, rate: float
) -> None:
    """0.05 * (1 + cos(pi * epoch / 60)) for all batches of an epoch; the last one is not at zero."""
    rates = {Recipe.model_validate(name).rate(epoch * 391 + batch, 391) for batch in range(391)}
    assert len(rates) == 1
    assert rates.pop() == pytest.approx(rate, rel=1e-3)


@settings(derandomize=True, deadline=None, max_examples=50)
@given(epochs=st.integers(1, 200), steps=st.integers(1, 400), data=st.data())
def test_cosine_is_half_a_cosine_of_the_run(epochs: int, steps: int, data: st.DataObject) -> None:
    batch = data.draw(st.integers(0, epochs * steps - 1))
    expected = 0.1 * math.cos(math.pi / 2 * batch / (epochs * steps)) ** 2
    made = recipe(epochs=epochs, schedule={"kind": "cosine"})
    assert made.rate(batch, steps) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_a_cosine_may_end_at_a_share_of_the_peak() -> None:
    schedule = {"kind": "cosine", "each": "epoch", "final": 0.01}
    made = recipe(epochs=4, schedule=schedule)
    quarter = (1 + math.cos(math.pi / 4)) / 2  # of the way down from the peak
    assert [made.rate(3 * epoch + 2, 3) for epoch in range(3)] == pytest.approx(
        [0.1, 0.001 + 0.099 * quarter, 0.001 + 0.099 / 2]
    )
    assert made.training_fields()["schedule"] == schedule
    assert recipe(schedule={"kind": "cosine"}).training_fields()["schedule"] == {"kind": "cosine"}


@settings(derandomize=True, deadline=None, max_examples=50)
@given(epochs=st.integers(1, 200), steps=st.integers(1, 400), rise=st.floats(0.05, 0.95), data=st.data())
def test_one_cycle_is_a_triangle_with_its_peak_at_the_end_of_the_rise(
    epochs: int, steps: int, rise: float, data: st.DataObject
) -> None:
    batch = data.draw(st.integers(0, epochs * steps - 1))
    done = (batch + 0.5) / (epochs * steps)  # the middle of the batch
    expected = 0.1 * min(done / rise, (1 - done) / (1 - rise))
    rate = recipe(epochs=epochs, schedule={"kind": "one-cycle", "rise": rise}).rate(batch, steps)
    assert rate == pytest.approx(expected, rel=1e-9)
    assert 0 < rate <= 0.1


def test_one_cycle_at_chosen_batches() -> None:
    made = recipe(epochs=10, schedule={"kind": "one-cycle", "rise": 0.3})
    rates = [made.rate(batch, 10) for batch in (0, 9, 29, 30, 64, 99)]
    expected = [0.1 * 0.5 / 30, 0.1 * 9.5 / 30, 0.1 * 29.5 / 30, 0.1 * 69.5 / 70, 0.1 * 35.5 / 70, 0.1 * 0.5 / 70]
    assert rates == pytest.approx(expected, rel=1e-12)


def test_steps_multiply_at_the_first_batch_of_their_epoch() -> None:
    made = recipe(epochs=6, schedule={"kind": "steps", "at": [2, 4, 5], "factor": 0.5})
    assert [made.rate(batch, 3) for batch in range(18)] == pytest.approx(
        [0.1] * 6 + [0.05] * 6 + [0.025] * 3 + [0.0125] * 3, rel=1e-12
    )


@pytest.mark.parametrize("schedule", [{"kind": "cosine"}, {"kind": "one-cycle"}, {"kind": "steps", "at": [5]}])
def test_warmup_rises_in_a_straight_line_whatever_follows(schedule: dict[str, Any]) -> None:
    made = recipe(schedule=schedule, warmup_epochs=2, warmup_from=0.02)
    expected = [0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1]
    assert [made.rate(batch, 4) for batch in range(8)] == pytest.approx(expected)


def test_a_warmup_is_set_as_often_as_the_cosine_that_follows() -> None:
    schedule = {"kind": "cosine", "each": "epoch"}
    made = recipe(schedule=schedule, warmup_epochs=2, warmup_from=0.02)
    assert [made.rate(batch, 4) for batch in range(8)] == pytest.approx([0.06] * 4 + [0.1] * 4)
    assert made.training_fields()["warmup_each"] == "epoch"
    assert "warmup_each" not in recipe(schedule={"kind": "cosine"}, warmup_epochs=2).training_fields()


@settings(derandomize=True, deadline=None, max_examples=50)
@given(
    warmup=st.integers(0, 5),
    epochs=st.integers(6, 40),
    steps=st.integers(1, 20),
    each=st.sampled_from(["batch", "epoch"]),
)
def test_a_cosine_after_the_warmup_is_that_of_a_run_without_one(
    warmup: int, epochs: int, steps: int, each: str
) -> None:
    schedule = {"kind": "cosine", "each": each, "final": 0.01}
    made = recipe(schedule={**schedule, "after_warmup": True}, epochs=epochs, warmup_epochs=warmup)
    without = recipe(schedule=schedule, epochs=epochs - warmup)
    following = range(warmup * steps, epochs * steps)
    assert [made.rate(batch, steps) for batch in following] == pytest.approx(
        [without.rate(batch - warmup * steps, steps) for batch in following]
    )
    assert made.rate(warmup * steps, steps) == 0.1
    assert made.training_fields()["schedule"]["after_warmup"] is True


def test_networks_normalise_by_what_is_measured_or_by_fixed_constants() -> None:
    measured, fixed = (Recipe.model_validate({"name": "sep-2023", **one}) for one in ({}, {"normalisation": "cifar10"}))
    assert measured.constants is None
    assert fixed.constants is not None
    assert fixed.constants.mean == (0.4914, 0.4822, 0.4465)
    assert fixed.constants.std == (0.2470, 0.2435, 0.2616)
    own = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}
    given_here = Recipe.model_validate({"name": "sep-2023", "normalisation": own}).constants
    assert given_here is not None
    assert (given_here.mean, given_here.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert fixed.name == "sep-2023[normalisation=cifar10]"


def test_fixed_constants_decide_the_result_by_their_numbers() -> None:
    fields = recipe(schedule={"kind": "cosine"}, normalisation="cifar10").training_fields()
    written = {"mean": [0.4914, 0.4822, 0.4465], "std": [0.2470, 0.2435, 0.2616]}
    assert recipe(schedule={"kind": "cosine"}, normalisation=written).training_fields() == fields
    assert recipe(schedule={"kind": "cosine"}).training_fields() != fields


def test_constants_for_a_network_that_does_not_normalise_are_refused() -> None:
    with pytest.raises(
        ValidationError, match="normalisation is given, but normalise is false: set it to true or leave"
    ):
        Recipe.model_validate({"name": "iss-2023", "normalisation": "cifar10"})


def test_an_unknown_recipe_is_answered_with_a_suggestion() -> None:
    for asked in ("sep-2032", {"name": "sep-2032", "epochs": 5}):
        with pytest.raises(ValidationError, match="unknown recipe 'sep-2032': did you mean sep-2023"):
            Recipe.model_validate(asked)


def test_changed_fields_show_in_the_name() -> None:
    changed = Recipe.model_validate({"name": "sep-2023", "lr": 0.05, "epochs": 5})
    assert changed.name == "sep-2023[epochs=5,lr=0.05]"
    assert (changed.epochs, changed.lr) == (5, 0.05)
    assert changed.training_fields() != Recipe.model_validate("sep-2023").training_fields()


def test_a_changed_part_of_a_field_shows_in_the_name_and_leaves_the_rest() -> None:
    changed = Recipe.model_validate({"name": "sep-2023", "augmentation": {"flip": False}})
    assert changed.name == "sep-2023[augmentation.flip=False]"
    assert (changed.augmentation.crop_padding, changed.augmentation.flip) == (4, False)


def test_another_schedule_shows_in_the_name() -> None:
    changed = Recipe.model_validate({"name": "sep-2023", "schedule": {"kind": "cosine"}})
    assert "cosine" in changed.name
    assert changed.schedule.kind == "cosine"


def test_a_field_set_to_what_it_is_leaves_the_name() -> None:
    assert Recipe.model_validate({"name": "sep-2023", "epochs": 120}) == Recipe.model_validate("sep-2023")


def test_the_name_is_no_part_of_what_decides_the_result() -> None:
    assert (
        recipe(schedule={"kind": "cosine"}).training_fields()
        == recipe(schedule={"kind": "cosine"}, name="other", source="elsewhere").training_fields()
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 0},
        {"epochs": 1.5},
        {"epochs": "5"},
        {"batch_size": 0},
        {"lr": 0.0},
        {"lr": -0.1},
        {"lr": math.inf},
        {"lr": math.nan},
        {"lr": 1e39},
        {"momentum": math.nan},
        {"weight_decay": math.inf},
        {"warmup_from": math.inf},
        {"schedule": {"kind": "steps", "at": [1], "factor": math.inf}},
        {"clip_gradient": math.inf},
        {"momentum": 1.0},
        {"weight_decay": -1e-4},
        {"clip_gradient": 0.0},
        {"normalisation": "cifar"},
        {"normalisation": {"mean": [0.5, 0.5, 0.5]}},
        {"normalisation": {"mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.0]}},
        {"normalisation": {"mean": [125, 123, 114], "std": [0.2, 0.2, 0.2]}},
        {"normalisation": {"mean": [0.5], "std": [0.2]}},
        {"schedule": {"kind": "cosine", "each": "step"}},
        {"learning_rate": 0.1},
        {"schedule": {"kind": "linear"}},
        {"schedule": {"kind": "one-cycle", "rise": 1.0}},
        {"augmentation": {"crop_padding": -1}},
        {"augmentation": {"rotate": True}},
    ],
)
def test_a_wrong_value_or_field_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Recipe.model_validate({"name": "sep-2023", **changes})
