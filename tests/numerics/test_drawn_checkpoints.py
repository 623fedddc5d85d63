"""SEP and SEP-FA with a part of the checkpoints in each step: which, for whom, at what cost, under which key."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from slow_sep_fa import align_slowly, means_of
from small_networks import CPU, checkpoints, noise
from torch import Tensor

from bench.budget import Budget
from bench.method import METHODS, CraftContext, CraftData
from methods.sep import SEP

IMAGES, LABELS = noise(6), torch.tensor([0, 4, 7, 9, 2, 2])
CLEAN = IMAGES.double() / 255
DATA = CraftData(CLEAN, LABELS, 10, torch.arange(6))
BUDGET = Budget.parse("linf-8")


def prepared(name: str, seed: int = 0, **params: Any) -> tuple[SEP, CraftContext]:
    kind = METHODS.get(name)
    method = kind(kind.Params.model_validate(params))
    assert isinstance(method, SEP)
    found = [deepcopy(network) for network in checkpoints(method.checkpoints)]
    context = CraftContext([found], seed=seed, device=CPU, images=6)
    method.prepare(lambda: iter([DATA]), context)
    return method, context


def crafted(name: str, **params: Any) -> Tensor:
    method, context = prepared(name, **params)
    return method.craft(DATA, BUDGET, context)


@pytest.mark.parametrize("name", ["sep", "sep-fa"])
def test_a_step_descends_on_the_checkpoints_it_draws_whatever_the_shards(name: str) -> None:
    method, context = prepared(name, checkpoints=4, steps=3, checkpoints_per_step=2)
    whole = method.craft(DATA, BUDGET, context)
    for index in range(6):
        part = slice(index, index + 1)
        alone = method.craft(CraftData(CLEAN[part], LABELS[part], 10, DATA.index[part]), BUDGET, context)
        assert float(((alone - whole[part]).abs() > 1e-9).double().mean()) < 2e-3


def test_drawn_alignment_follows_the_algorithm_box_of_the_drawn() -> None:
    method, context = prepared("sep-fa", checkpoints=4, steps=3, checkpoints_per_step=2)
    fast = method.craft(DATA, BUDGET, context)
    means = [means_of(network, CLEAN, LABELS, 10) for network in checkpoints(4)]
    for position in (0, 5):
        aligned = [rows[(int(LABELS[position]) + 5) % 10] for rows in means]
        slow = align_slowly(checkpoints(4), CLEAN[position], aligned, "linf", 8 / 255, 1 / 255, method.drawn)
        assert float(((fast[position] - slow).abs() > 1e-9).double().mean()) < 2e-3


def test_each_step_draws_anew_without_drawing_one_twice_and_every_checkpoint_as_often() -> None:
    method, _ = prepared("sep", checkpoints=5, steps=2000, checkpoints_per_step=2)
    assert all(len(drawn) == len(set(drawn)) == 2 for drawn in method.drawn)
    assert len({tuple(drawn) for drawn in method.drawn}) == 10, "every pair comes up"
    counts = torch.tensor(method.drawn).flatten().bincount(minlength=5)
    assert float((counts / 2000 - 2 / 5).abs().max()) < 0.05


def test_the_craft_seed_decides_what_is_drawn() -> None:
    first, again, other = (
        prepared("sep", seed, checkpoints=5, steps=30, checkpoints_per_step=1)[0].drawn for seed in (3, 3, 4)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("name", ["sep", "sep-fa"])
def test_drawing_all_is_the_method_itself(name: str) -> None:
    params = {"checkpoints": 3, "steps": 2}
    assert torch.equal(crafted(name, **params), crafted(name, **params, checkpoints_per_step=3))


@pytest.mark.parametrize("name", ["sep", "sep-fa"])
def test_passes_are_those_of_the_drawn_checkpoints(name: str) -> None:
    method, context = prepared(name, checkpoints=4, steps=3, checkpoints_per_step=2)
    method.craft(DATA, BUDGET, context)
    assert method.passes() == 6
    assert method.ensemble.passes == 6 * len(CLEAN)


@pytest.mark.parametrize("name", ["sep", "sep-fa", "sep-fa-vr", "single-checkpoint"])
def test_parameters_name_the_draw_only_where_it_is_asked_for(name: str) -> None:
    kind = METHODS.get(name)
    assert "checkpoints_per_step" not in kind.Params().model_dump(mode="json")
    assert set(kind.Params().model_dump()) == set(kind.Params.model_fields) - {"checkpoints_per_step"}


def test_a_draw_is_part_of_the_parameters() -> None:
    kind = METHODS.get("sep")
    fields = kind.Params.model_validate({"checkpoints_per_step": 5}).model_dump(mode="json")
    assert fields["checkpoints_per_step"] == 5
    assert kind.Params.model_validate(fields).model_dump(mode="json") == fields


@pytest.mark.parametrize(
    ("name", "params", "says"),
    [
        ("sep", {"checkpoints": 4, "checkpoints_per_step": 5}, "checkpoints_per_step is 5, of 4 checkpoints"),
        ("sep-fa", {"epochs": [1, 3], "checkpoints_per_step": 3}, "checkpoints_per_step is 3, of 2 checkpoints"),
        ("sep", {"checkpoints_per_step": 0}, "greater than or equal to 1"),
        ("sep-fa-vr", {"checkpoints_per_step": 5}, "inner steps draw from all checkpoints"),
    ],
)
def test_a_draw_that_cannot_be_is_refused(name: str, params: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        METHODS.get(name).Params.model_validate(params)
