"""What is chosen for a person, worked out by hand."""

from inspect import signature
from typing import Any

import numpy as np
import pytest

import bench
from bench.checks.inputs import BUDGETS
from bench.cli.protecting import protect as protect_command
from bench.contracts.budget import Budget
from bench.contracts.method import METHODS
from bench.engine.recipe import Recipe
from bench.flows.choices import Size, crafting_size, effort, network, recipe
from bench.flows.protect import plan_protection


def sizes(*each: tuple[int, int]) -> np.ndarray:
    return np.array(each, np.int64)


def test_pictures_of_one_size_keep_it() -> None:
    assert crafting_size(sizes((48, 64), (48, 64)), "cpu") == Size(None, 48, 64)


def test_pictures_of_one_size_that_the_device_cannot_work_with_are_brought_to_a_square() -> None:
    large = sizes((480, 640), (480, 640))
    assert crafting_size(large, "cpu") == Size(64, 64, 64)
    assert crafting_size(large, "cuda") == Size(224, 224, 224)


def test_pictures_of_several_sizes_are_brought_to_their_usual_shorter_side() -> None:
    mixed = sizes((40, 90), (50, 48), (300, 200))
    assert crafting_size(mixed, "cpu") == Size(48, 48, 48)


def test_the_side_that_is_asked_for_is_taken() -> None:
    assert crafting_size(sizes((48, 64), (48, 64)), "cpu", 32) == Size(32, 32, 32)
    assert crafting_size(sizes((300, 300)), "cpu", 300) == Size(None, 300, 300)


@pytest.mark.parametrize(
    ("images", "device", "epochs", "batch"),
    [
        (20, "cpu", 60, 4),
        (400, "cpu", 50, 16),  # 20,000 pictures are seen in all
        (1000, "cpu", 20, 32),
        (50_000, "cpu", 15, 32),
        (1000, "cuda", 120, 64),
        (50_000, "cuda", 30, 128),
    ],
)
def test_fewer_pictures_are_seen_more_often_and_in_smaller_batches(
    images: int, device: Any, epochs: int, batch: int
) -> None:
    chosen = Recipe.model_validate(recipe(images, device, Size(None, 64, 64)))
    assert (chosen.epochs, chosen.batch_size) == (epochs, batch)
    assert chosen.augmentation.crop_padding == 8


def test_the_recipe_that_was_chosen_is_named_by_what_was_changed_in_it() -> None:
    chosen = Recipe.model_validate(recipe(400, "cpu", Size(None, 32, 32)))
    assert chosen.name == "own-images[batch_size=16,epochs=50]"


def test_small_pictures_get_a_network_with_a_small_stem() -> None:
    small, large = Size(None, 64, 64), Size(224, 224, 224)
    assert [network("cpu", small), network("cuda", small), network("cuda", large)] == [
        "resnet8",
        "resnet18",
        "resnet18-imagenet",
    ]


def test_on_a_cpu_a_method_takes_few_checkpoints_and_steps_that_reach_beyond_the_budget() -> None:
    assert effort("sep", {}, Budget.parse("linf-8"), 20, "cpu") == {"checkpoints": 5, "steps": 10}
    assert effort("sep", {}, Budget.parse("linf-32"), 3, "cpu") == {"checkpoints": 3, "steps": 10, "step_size": 4.0}
    assert effort("sep", {}, Budget.parse("l2-1.0"), 20, "cpu") == {"checkpoints": 5, "steps": 10}


def test_what_takes_few_passes_is_as_published_on_a_cpu_too() -> None:
    assert METHODS.get("sep-fast")().passes() == 90
    assert effort("sep-fast", {}, Budget.parse("linf-8"), 20, "cpu") == {"checkpoints": 3, "steps": 30}
    assert effort("sep-fast", {}, Budget.parse("linf-32"), 2, "cpu") == {
        "checkpoints": 2,
        "steps": 30,
        "step_size": 1.34,
    }
    assert effort("single-checkpoint", {}, Budget.parse("linf-8"), 20, "cpu") == {"checkpoints": 1, "steps": 30}


def test_pictures_are_protected_by_the_same_method_from_the_command_line_and_from_python() -> None:
    (asked,) = (one.default for one in protect_command.params if one.name == "method")
    defaults = [signature(function).parameters["method"].default for function in (plan_protection, bench.protect)]
    assert [*defaults, asked] == ["sep-fast"] * 3


def test_steps_that_are_shares_of_the_budget_reach_beyond_it_as_well() -> None:
    assert effort("tap", {}, Budget.parse("linf-8"), 20, "cpu") == {"steps": 10, "step_fraction": 0.125}
    assert effort("tap", {}, Budget.parse("l2-1.0"), 20, "cuda") == {"steps": 250, "step_fraction": 0.05}
    assert effort("tap", {"step_fraction": 0.1}, Budget.parse("linf-8"), 20, "cpu") == {
        "steps": 10,
        "step_fraction": 0.1,
    }


def test_what_is_given_stays() -> None:
    given = {"checkpoints": 2, "steps": 3, "step_size": 1.5}
    assert effort("sep", given, Budget.parse("linf-32"), 20, "cpu") == given
    assert effort("sep", {"epochs": [4]}, Budget.parse("linf-8"), 20, "cpu") == {"epochs": [4], "steps": 10}


@pytest.mark.parametrize("name", ["em", "em-online", "rem", "aue"])
def test_a_method_that_trains_while_it_crafts_is_as_published(name: str) -> None:
    assert effort(name, {}, Budget.parse("linf-8"), 20, "cpu") == {}


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("name", [name for name in METHODS.names() if name != "brought"])
def test_every_method_takes_what_is_chosen_for_it(name: str, device: Any) -> None:
    for norm in METHODS.get(name).norms:
        chosen = effort(name, {}, BUDGETS[norm], 30, device)
        METHODS.get(name).Params.model_validate(chosen)
