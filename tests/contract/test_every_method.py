"""What every protection method has to keep, whoever wrote it."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_full_backward_hook

from bench.contracts.budget import UNLIMITED, Budget, Norm
from bench.contracts.method import (
    METHODS,
    CraftContext,
    CraftData,
    Method,
)
from bench.run.stages import craft as harness
from tests.making.crafting import CPU, cases, digits, is_within, networks, protect, small_params, with_images

NAMES = METHODS.names()
every_method = pytest.mark.parametrize("name", NAMES)
every_case = pytest.mark.parametrize(("name", "budget"), cases(), ids=str)


def craft_data(count: int = 24) -> CraftData:
    images = digits().images[:count].float() / 255
    return CraftData(images, digits().labels[:count].clone(), 10, torch.arange(count))


def crafted_directly(method: Method, data: CraftData, budget: Budget | None, context: CraftContext) -> Tensor:
    method.prepare(lambda: iter([data]), context)
    return method.craft(data, budget or UNLIMITED, context)


@contextmanager
def counted_images() -> Iterator[Counter[str]]:
    """Count the images that go forward and backward through the stem of any network."""
    counts: Counter[str] = Counter()

    def is_stem(module: nn.Module) -> bool:
        return isinstance(module, nn.Conv2d) and module.in_channels == 3

    def forward(module: nn.Module, inputs: Any, output: Any) -> None:
        counts["forward"] += len(output) if is_stem(module) else 0

    def backward(module: nn.Module, grad_input: Any, grad_output: Any) -> None:
        counts["backward"] += len(grad_output[0]) if is_stem(module) else 0

    hooks = [register_module_forward_hook(forward), register_module_full_backward_hook(backward)]
    try:
        yield counts
    finally:
        for hook in hooks:
            hook.remove()


@every_method
def test_a_method_describes_itself(name: str) -> None:
    kind = METHODS.get(name)
    assert (kind.__doc__ or "").strip().splitlines()[0].strip()
    assert kind.name == name
    assert isinstance(kind.version, int)
    assert kind.version >= 1
    assert kind.cite is None or kind.cite
    assert set(kind.norms) <= set(get_args(Norm))


@every_method
def test_parameters_are_frozen_and_refuse_unknown_names(name: str) -> None:
    config = METHODS.get(name).Params.model_config
    assert config["frozen"]
    assert config["strict"]
    assert config["extra"] == "forbid"


@every_case
def test_released_bytes_have_the_shape_of_the_data_and_keep_the_budget(
    name: str, budget: Budget | None, tmp_path: Path
) -> None:
    released = protect(tmp_path, METHODS.get(name), budget, digits())
    assert released.dtype == torch.uint8
    assert released.shape == digits().images.shape
    assert is_within(budget, digits().images, released)


PICTURES = {
    "black": np.zeros((3, 16, 16), np.uint8),
    "white": np.full((3, 16, 16), 255, np.uint8),
    "almost black": np.full((3, 16, 16), 1, np.uint8),
    "checkerboard": np.broadcast_to((np.indices((16, 16)).sum(0) % 2 * 255).astype(np.uint8), (3, 16, 16)),
    "noise": np.random.default_rng(0).integers(0, 256, (3, 16, 16), dtype=np.uint8),
    "one colour": np.stack([np.full((16, 16), level, np.uint8) for level in (255, 0, 127)]),
}


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
def test_crafted_images_are_floats_from_0_to_1_and_inputs_stay_as_they_were(name: str, budget: Budget | None) -> None:
    kind = METHODS.get(name)
    method = kind(small_params(kind))
    data = craft_data()
    surrogates = networks(method)
    before = [tensor.clone() for tensor in (data.x, data.y, data.index)]
    weights = [tensor.clone() for found in surrogates for network in found for tensor in network.state_dict().values()]
    crafted = crafted_directly(method, data, budget, CraftContext(surrogates, seed=0, device=CPU, images=24))
    assert crafted.shape == data.x.shape
    assert crafted.is_floating_point()
    assert not crafted.requires_grad
    assert float(crafted.amin()) >= 0
    assert float(crafted.amax()) <= 1
    for old, new in zip(before, (data.x, data.y, data.index), strict=True):
        assert torch.equal(old, new)
    after = [tensor for found in surrogates for network in found for tensor in network.state_dict().values()]
    assert all(torch.equal(old, new) for old, new in zip(weights, after, strict=True))


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


@every_case
@pytest.mark.filterwarnings("ignore:For backward hooks to be called")  # said while a method traces its networks
def test_passes_are_the_gradients_that_crafting_takes_of_each_image(name: str, budget: Budget | None) -> None:
    kind = METHODS.get(name)
    method = kind(small_params(kind))
    data = craft_data(4)
    with counted_images() as counts:
        crafted_directly(method, data, budget, CraftContext(networks(method), seed=0, device=CPU, images=24))
    assert counts["backward"] == method.passes() * len(data.x)
    assert counts["forward"] >= counts["backward"]


@every_method
def test_the_cost_of_the_defaults_is_known_before_anything_is_trained(name: str) -> None:
    assert METHODS.get(name)().passes() >= 0
