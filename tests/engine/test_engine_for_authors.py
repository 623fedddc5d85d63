"""What `bench.api` shows of the engine does what its docstrings say, examples included."""

import doctest
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor

import bench.api
from bench.api import Augmentation, CraftContext, CraftData, Ensemble, augment, class_means, draw
from bench.engine.ensemble import cross_entropy
from tests.making.images import noise
from tests.making.networks import CPU, checkpoints

IMAGES = noise(6)
CLEAN = IMAGES.double() / 255
LABELS = torch.arange(6)
DATA = CraftData(CLEAN, LABELS, 10, torch.arange(6))
EXAMPLES = (
    *("Cosine", "Ensemble", "FeatureAlignment", "Frozen", "Learner", "MicroBatches", "Recipe", "Steps", "Trained"),
    *("augment", "class_means"),
)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_in_a_docstring_runs_as_it_stands_there(name: str) -> None:
    there = {one: getattr(bench.api, one) for one in bench.api.__all__}
    given: dict[str, Any] = {"torch": torch, "networks": checkpoints(2), "x": CLEAN, "y": LABELS, "data": DATA}
    (example,) = doctest.DocTestFinder(recurse=False).find(there[name], name, module=False, globs={**there, **given})
    assert example.examples
    complaints: list[str] = []
    doctest.DocTestRunner(verbose=False).run(example, out=complaints.append)
    assert not complaints, "".join(complaints)


def test_every_public_name_of_the_engine_has_a_docstring_with_an_example() -> None:
    shown = [
        name
        for name in bench.api.__all__
        if str(getattr(getattr(bench.api, name), "__module__", "")).startswith("bench.engine")
    ]
    assert set(shown) <= set(EXAMPLES)


def test_a_loss_of_ones_own_is_descended_on() -> None:
    def untargeted(index: int, network: Any, x: Tensor, y: Tensor) -> Tensor:
        return -cross_entropy(index, network, x, y)

    networks = checkpoints(2)
    away, towards = Ensemble(networks, untargeted), Ensemble(networks)
    torch.testing.assert_close(away.mean_gradient(CLEAN, LABELS), -towards.mean_gradient(CLEAN, LABELS))


def test_auto_precision_is_single_on_a_cpu() -> None:
    networks = [deepcopy(network).float() for network in checkpoints(1)]
    x = CLEAN.float()
    auto, single = (Ensemble(networks, precision=wanted) for wanted in ("auto", "fp32"))
    assert torch.equal(auto.mean_gradient(x, LABELS), single.mean_gradient(x, LABELS))


def test_without_a_backend_nothing_is_compiled_on_any_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.engine.ensemble.backend_for", lambda device: "aot_eager")
    assert Ensemble(checkpoints(1)).compiled.active
    assert not Ensemble(checkpoints(1), backend=None).compiled.active


def test_gradients_are_detached_and_inputs_stay_as_they_were() -> None:
    x, before = CLEAN.clone().requires_grad_(), CLEAN.clone()
    gradient = Ensemble(checkpoints(2)).mean_gradient(x, LABELS)
    assert not gradient.requires_grad
    assert gradient.dtype == x.dtype
    assert x.grad is None
    assert torch.equal(x.detach(), before)


def test_class_means_of_no_images_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        class_means(checkpoints(1)[0], [])


def test_the_networks_of_all_surrogates_are_in_one_list_in_their_order() -> None:
    first, second, third = checkpoints(3)
    assert CraftContext([[first], [second, third]], seed=0, device=CPU).networks == [first, second, third]


@pytest.mark.parametrize(
    "kind", [Augmentation(crop_padding=2, flip=True), Augmentation(resized_crop=0.3, flip=True)], ids=["crop", "resize"]
)
def test_gradients_go_back_through_the_augmentation_to_the_pixels_it_read(kind: Augmentation) -> None:
    # Augmenting is linear in the pixels, so that the gradient of <w, augment(x)> is what <w, augment(.)> weighs by.
    draws = draw(6, kind, torch.Generator().manual_seed(0), (8, 8))
    weights = torch.randn(CLEAN.shape, generator=torch.Generator().manual_seed(1))
    images = CLEAN.float().requires_grad_()
    (gradient,) = torch.autograd.grad((weights * augment(images, draws, kind.crop_padding)).sum(), images)
    for position in range(6):
        for pixel in ((0, 0, 0), (1, 3, 4), (2, 7, 7)):
            unit = torch.zeros_like(images)
            unit[(position, *pixel)] = 1
            expected = float((weights * augment(unit, draws, kind.crop_padding)).sum())
            assert abs(float(gradient[(position, *pixel)]) - expected) < 1e-5
