"""`timm:NAME` is a model of timm as an architecture, and one clear sentence where it cannot be."""

import sys
from typing import Any

import pytest
import torch

from bench.contracts.network import (
    ARCHITECTURES,
    Classifier,
    Network,
    build_network,
)
from bench.core.errors import SepbenchError
from bench.core.registry import UnknownName

CONVOLUTIONAL, TRANSFORMER = "resnet10t", "vit_tiny_patch16_224"


@pytest.fixture
def timm() -> Any:
    return pytest.importorskip("timm")


def built(name: str, side: int = 32, seed: int = 0) -> Network:
    images = torch.zeros(2, 3, side, side, dtype=torch.uint8)
    return build_network(f"timm:{name}", 7, images, normalise=False, seed=seed, device=torch.device("cpu")).eval()


def test_without_timm_its_models_are_refused_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(SepbenchError) as caught:
        ARCHITECTURES.get("timm:resnet18")
    assert str(caught.value) == "timm:resnet18 needs timm: pip install 'sepbench[timm]'"


def test_models_of_timm_are_not_listed_among_ours() -> None:
    assert not any(name.startswith("timm") for name in ARCHITECTURES.names())


@pytest.mark.parametrize("name", [CONVOLUTIONAL, TRANSFORMER])
@pytest.mark.parametrize("side", [32, 64])
def test_a_model_is_built_for_the_images_and_ends_in_its_head(timm: Any, name: str, side: int) -> None:
    assert f"timm:{name}" in ARCHITECTURES
    network = built(name, side)
    x = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        features = network.features(x)
        assert features.shape == (2, network.classifier.head.in_features)
        torch.testing.assert_close(network(x), network.classifier.head(features))


@pytest.mark.parametrize(("name", "sized"), [(CONVOLUTIONAL, {}), (TRANSFORMER, {"img_size": 32})])
def test_a_model_computes_what_timm_does(timm: Any, name: str, sized: dict[str, int]) -> None:
    with torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(0)
        original = timm.create_model(name, num_classes=7, **sized).eval()
        x = torch.rand(2, 3, 32, 32)
        torch.testing.assert_close(built(name)(x), original(x), rtol=1e-4, atol=1e-5)


def test_every_weight_is_stored_once(timm: Any) -> None:
    network = built(CONVOLUTIONAL)
    weights = [value.data_ptr() for value in network.state_dict().values() if value.numel() > 1]
    assert len(set(weights)) == len(weights)
    other = built(CONVOLUTIONAL, seed=1)
    other.load_state_dict(network.state_dict())
    assert torch.equal(other.classifier.head.weight, network.classifier.head.weight)


def test_without_images_a_model_has_its_published_size(timm: Any) -> None:
    network = ARCHITECTURES.get(f"timm:{TRANSFORMER}")(10).eval()
    assert isinstance(network, Classifier)
    with torch.inference_mode():
        assert network(torch.rand(1, 3, 224, 224)).shape == (1, 10)


@pytest.mark.parametrize(("name", "meant"), [("resnet10x", "resnet10t"), (f"{TRANSFORMER}.augreg_in21k", TRANSFORMER)])
def test_a_misspelt_model_is_answered_with_the_right_one(timm: Any, name: str, meant: str) -> None:
    assert f"timm:{name}" not in ARCHITECTURES
    with pytest.raises(UnknownName) as caught:
        ARCHITECTURES.get(f"timm:{name}")
    assert f"unknown timm model '{name}': did you mean" in str(caught.value)
    assert meant in str(caught.value)


@pytest.mark.parametrize(("name", "when"), [("xcit_nano_12_p16_224", "built"), ("bat_resnext26ts", "used")])
def test_a_model_that_cannot_take_the_images_says_so_in_one_sentence(timm: Any, name: str, when: str) -> None:
    with pytest.raises(SepbenchError) as caught:
        built(name, side=8)
    assert f"timm cannot build {name} for images of 8x8 pixels (" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_without_a_linear_head_is_refused(timm: Any) -> None:
    with pytest.raises(SepbenchError, match="timm:levit_128s ends in tuple"):
        built("levit_128s", side=64)
