"""What every protection method has to keep, whoever wrote it."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.checks import of_methods
from bench.checks.inputs import PICTURES
from bench.contracts.budget import Budget, Norm
from bench.contracts.method import METHODS
from bench.run.stages import shards as harness
from tests.making.crafting import cases, digits, is_within, protect, small_params, with_images

NAMES = METHODS.names()
every_method = pytest.mark.parametrize("name", NAMES)
every_case = pytest.mark.parametrize(("name", "budget"), cases(), ids=str)


@every_case
@pytest.mark.parametrize("promise", of_methods.CHECKS)
def test_a_method_keeps_the_promises_that_sepbench_check_looks_at(
    promise: str, name: str, budget: Budget | None
) -> None:
    kind = METHODS.get(name)
    of_methods.CHECKS[promise](of_methods.Case(kind, small_params(kind), budget))


@every_method
def test_a_method_is_known_by_its_name_and_cites_a_paper_or_none(name: str) -> None:
    kind = METHODS.get(name)
    assert kind.name == name
    assert kind.cite is None or kind.cite
    assert set(kind.norms) <= set(get_args(Norm))


@every_case
def test_released_bytes_have_the_shape_of_the_data_and_keep_the_budget(
    name: str, budget: Budget | None, tmp_path: Path
) -> None:
    released = protect(tmp_path, METHODS.get(name), budget, digits())
    assert released.dtype == torch.uint8
    assert released.shape == digits().images.shape
    assert is_within(budget, digits().images, released)


def sizes(norm: Norm) -> st.SearchStrategy[float]:
    return st.floats(1 / 255, 30) if norm == "l2" else st.integers(1, 255).map(float)


@every_case
@settings(derandomize=True, deadline=None, max_examples=6)
@given(draw=st.data())
def test_no_image_and_no_size_makes_a_method_leave_its_budget(
    name: str, budget: Budget | None, draw: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    chosen = draw.draw(st.lists(st.sampled_from(sorted(PICTURES)), min_size=2, max_size=6), label="pictures")
    if budget is not None and budget.size is not None:
        budget = Budget(norm=budget.norm, size=draw.draw(sizes(budget.norm), label="size"))
    data = with_images(np.stack([PICTURES[picture] for picture in chosen]))
    released = protect(tmp_path_factory.getbasetemp() / "surrogates", METHODS.get(name), budget, data)
    assert is_within(budget, data.images, released)


@every_case
def test_the_craft_seed_alone_decides_the_bytes(name: str, budget: Budget | None, tmp_path: Path) -> None:
    kind = METHODS.get(name)
    torch.manual_seed(1)
    first = protect(tmp_path, kind, budget, digits(), seed=3)
    torch.manual_seed(2)
    assert torch.equal(first, protect(tmp_path, kind, budget, digits(), seed=3))


@pytest.mark.parametrize("budget", ["linf-8", "l2-1"])
def test_another_craft_seed_draws_other_noise(budget: str, tmp_path: Path) -> None:
    noise = METHODS.get("random-noise")
    first, second = (protect(tmp_path, noise, Budget.parse(budget), digits(), seed) for seed in (0, 1))
    assert (first != second).float().mean() > 0.1


def test_another_craft_seed_draws_other_pixels(tmp_path: Path) -> None:
    noise, clean = METHODS.get("random-noise"), digits().images
    sets = [protect(tmp_path, noise, Budget.parse("l0-4"), digits(), seed) for seed in (0, 1)]
    first, second = ((one != clean).any(1) for one in sets)
    assert int((first != second).flatten(1).sum(1).min()) > 0
    for changed, released in zip((first, second), sets, strict=True):
        colours = released.permute(0, 2, 3, 1)[changed]
        assert set(colours.flatten().tolist()) == {0, 255}, "a pixel that may take any value is moved as far as it goes"


def test_none_releases_the_clean_bytes(tmp_path: Path) -> None:
    assert torch.equal(protect(tmp_path, METHODS.get("none"), None, digits()), digits().images)


@every_case
def test_the_size_of_shards_does_not_change_the_bytes(
    name: str, budget: Budget | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Convolutions of another batch size round differently, and a gradient within that error of zero may change its
    # sign. So a few bytes of an image may differ; an image that depended on its shard would differ nearly everywhere.
    kind = METHODS.get(name)
    whole = protect(tmp_path, kind, budget, digits())
    for shard in (1, 7):
        monkeypatch.setattr(harness, "SHARD", shard)
        differing = (protect(tmp_path, kind, budget, digits()) != whole).flatten(1).float().mean(1)
        assert float(differing.max()) <= 0.01


@every_method
def test_the_cost_of_the_defaults_is_known_before_anything_is_trained(name: str) -> None:
    assert METHODS.get(name)().passes() >= 0
