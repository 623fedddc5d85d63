"""Weights as people publish them: found within whatever wraps them, never taken for others, never silently left out."""

import argparse
import collections
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import resnet18, resnet34

from bench.contracts.network import ARCHITECTURES, Network, build_network
from bench.core.errors import SepbenchError
from tests.making.images import noise
from tests.making.networks import CPU
from victims.defenses.pretrained import Pretrained, PretrainedParams

Weights = dict[str, Tensor]


def weights_of(architecture: str = "resnet8", classes: int = 10, seed: int = 1) -> Weights:
    """Return weights as training leaves them: statistics and counters are not those of a new network."""
    torch.manual_seed(seed)
    return as_trained(ARCHITECTURES.get(architecture)(classes))


def as_trained(network: nn.Module) -> Weights:
    for name, value in network.state_dict().items():
        value.add_(3) if name.endswith("tracked") else value.add_(torch.rand_like(value) / 4)
    return {name: value.clone() for name, value in network.state_dict().items()}


def started(path: Path, architecture: str = "resnet8", classes: int = 10) -> Weights:
    """Return the weights of a network that starts from a file."""
    network = build_network(architecture, classes, noise(2, side=16), normalise=True, seed=0, device=CPU)
    result = Pretrained(PretrainedParams(weights=str(path))).network(network)
    assert isinstance(result, Network)
    return result.classifier.state_dict()


def saved(content: Any, folder: Path, **how: Any) -> Path:
    path = folder / "weights.pt"
    torch.save(content, path, **how)
    return path


def same(found: Weights, expected: Weights) -> bool:
    return all(torch.equal(value, expected[name]) for name, value in found.items())


def prefixed(weights: Weights, prefix: str) -> Weights:
    return {prefix + name: value for name, value in weights.items()}


def renamed(weights: Weights, *pairs: tuple[str, str]) -> Weights:
    for old, new in pairs:
        weights = {name.replace(old, new): value for name, value in weights.items()}
    return weights


def refused(path: Path, architecture: str = "resnet8") -> str:
    with pytest.raises(SepbenchError) as caught:
        started(path, architecture)
    assert str(caught.value).startswith(f"pretrained: {path} ")
    return str(caught.value).removeprefix(f"pretrained: {path} ")


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Return what was said of the file, without its name."""
    monkeypatch.setattr("victims.defenses.pretrained._LOG.propagate", True)
    return lambda: [record.getMessage().partition(".pt: ")[2] for record in caplog.records]


WRAPPERS = [
    *("net", "state_dict", "model", "model_state_dict", "model_state", "ema", "ema_state_dict", "state_dict_ema"),
    *("params", "weights", "backbone", "anything"),
]
WRAPPED: dict[str, Callable[[Weights], Any]] = {
    **{
        name: lambda weights, name=name: {"epoch": 3, name: weights, "optimizer": {"state": {0: {"step": weights}}}}  # type: ignore[misc]
        for name in WRAPPERS
    },
    "as it is": lambda weights: weights,
    "ordered": collections.OrderedDict,
    "in a list": lambda weights: [weights, 0.93],
    "in a tuple in a mapping": lambda weights: {"checkpoint": (3, {"net": weights})},
    "of parameters": lambda weights: {
        name: nn.Parameter(value) if value.is_floating_point() else value for name, value in weights.items()
    },
    "with arguments": lambda weights: {"net": weights, "args": argparse.Namespace(lr=0.1, out=Path("runs"))},
    "with numpy numbers": lambda weights: {"net": weights, "acc": np.float64(0.93), "curve": np.arange(3.0)},
    "beside a mapping with defaults": lambda weights: {
        "net": collections.defaultdict(list, weights),
        "log": collections.defaultdict(list, loss=[0.1]),
    },
    "without counters": lambda weights: {n: value for n, value in weights.items() if not n.endswith("tracked")},
}
PREFIXES = ["module.", "_orig_mod.", "module._orig_mod.", "model.", "backbone.", "encoder.", "model.module.encoder."]


@pytest.mark.parametrize("wrapped", WRAPPED.values(), ids=WRAPPED.keys())
def test_weights_are_found_in_whatever_wraps_them(
    wrapped: Callable[[Weights], Any], tmp_path: Path, said: Callable[[], list[str]]
) -> None:
    weights = weights_of()
    found = started(saved(wrapped(weights), tmp_path))
    counters = {name for name in weights if name.endswith("tracked")}
    assert same({name: value for name, value in found.items() if name not in counters}, weights)
    assert said() == []


@pytest.mark.parametrize("prefix", PREFIXES)
def test_weights_are_found_behind_any_common_prefix(prefix: str, tmp_path: Path, said: Callable[[], list[str]]) -> None:
    weights = weights_of()
    assert same(started(saved({"state_dict": prefixed(weights, prefix)}, tmp_path)), weights)
    assert said() == []


def test_files_of_old_versions_of_torch_and_safetensors_are_read(tmp_path: Path) -> None:
    weights = weights_of()
    assert same(started(saved(weights, tmp_path, _use_new_zipfile_serialization=False)), weights)
    save_file(weights, tmp_path / "weights.safetensors")
    assert same(started(tmp_path / "weights.safetensors"), weights)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_formats_of_numbers_become_those_of_the_network(dtype: torch.dtype, tmp_path: Path) -> None:
    weights = {n: value.to(dtype) if value.is_floating_point() else value for n, value in weights_of().items()}
    found = started(saved(weights, tmp_path))
    assert {value.dtype for value in found.values()} == {torch.float32, torch.int64}
    assert same(found, {name: value.to(found[name].dtype) for name, value in weights.items()})


@pytest.mark.parametrize("name", ["fc", "linear", "classifier", "head.fc", "logits", "classifier.1"])
def test_a_head_of_another_name_is_found_by_its_shape_and_that_is_said(
    name: str, tmp_path: Path, said: Callable[[], list[str]]
) -> None:
    weights = weights_of()
    assert same(started(saved(renamed(weights, ("head.", f"{name}.")), tmp_path)), weights)
    assert said() == [f"its {name} is taken for the head"]


def test_a_head_stands_beside_a_backbone_with_a_prefix(tmp_path: Path, said: Callable[[], list[str]]) -> None:
    weights = weights_of()
    body = {name: value for name, value in weights.items() if not name.startswith("head.")}
    head = {"fc.weight": weights["head.weight"], "fc.bias": weights["head.bias"]}
    assert same(started(saved(prefixed(body, "encoder.") | head, tmp_path)), weights)
    assert said() == ["its fc is taken for the head"]


def other_head(weights: Weights, **heads: Tensor) -> Weights:
    body = {name: value for name, value in weights.items() if not name.startswith("head.")}
    return body | {name.replace("_", "."): value for name, value in heads.items()}


@pytest.mark.parametrize(
    ("heads", "says"),
    [
        ({}, "it has no layer from 64 features to classes: the head starts at random"),
        (
            {"head_weight": torch.ones(7, 64), "head_bias": torch.ones(7)},
            "its head is for 7 classes and not for 10: the head starts at random",
        ),
        (
            {"fc_weight": torch.ones(1000, 64), "fc_bias": torch.ones(1000)},
            "its head fc is for 1000 classes and not for 10: the head starts at random",
        ),
        ({"fc_weight": torch.ones(10, 64)}, "its head fc has no bias: the head starts at random"),
        (
            {"a_weight": torch.ones(10, 64), "b_weight": torch.ones(10, 64)},
            "several layers may be its head (a, b): the head starts at random",
        ),
        (
            {"fc_0_weight": torch.ones(64, 64), "fc_2_weight": torch.ones(10, 64), "fc_2_bias": torch.ones(10)},
            "several layers may be its head (fc.0, fc.2): the head starts at random",
        ),
        (
            {"projector_weight": torch.ones(5, 9), "queue": torch.ones(3)},
            "it has no layer from 64 features to classes: the head starts at random; 2 further tensors are not used "
            "(projector.weight)",
        ),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_head_that_starts_at_random_is_said_and_the_rest_is_loaded(
    heads: Weights, says: str, tmp_path: Path, said: Callable[[], list[str]]
) -> None:
    weights = weights_of()
    found = started(saved(other_head(weights, **heads), tmp_path))
    new = build_network("resnet8", 10, noise(2, side=16), normalise=True, seed=0, device=CPU).classifier.state_dict()
    head = {"head.weight": new["head.weight"], "head.bias": new["head.bias"]}
    assert same(found, weights | head)
    assert said() == [says]


def test_of_a_moving_average_and_the_weights_it_is_of_the_average_is_taken_and_that_is_said(
    tmp_path: Path, said: Callable[[], list[str]]
) -> None:
    averaged, last = weights_of(), weights_of(seed=2)
    path = saved({"model": prefixed(last, "module."), "state_dict_ema": averaged}, tmp_path)
    assert same(started(path), averaged)
    path = saved(prefixed(last, "online.") | prefixed(averaged, "ema_model."), tmp_path)
    assert same(started(path), averaged)
    assert [one.partition("; ")[0] for one in said()] == [
        "the moving average state_dict_ema is taken, and not model.module",
        "the moving average ema_model is taken, and not online",
    ]


def test_the_same_weights_twice_are_no_question(tmp_path: Path, said: Callable[[], list[str]]) -> None:
    weights = weights_of()
    assert same(started(saved({"net": weights, "best": weights}, tmp_path)), weights)
    assert said() == []


def test_several_sets_of_weights_of_which_none_is_an_average_are_refused(tmp_path: Path) -> None:
    path = saved({"student": weights_of(), "teacher": weights_of(seed=2)}, tmp_path)
    assert refused(path) == "holds several sets of weights of this network (student, teacher): save one alone"


def test_the_weights_of_torchvision_are_those_of_its_network_here(
    tmp_path: Path, said: Callable[[], list[str]]
) -> None:
    published = as_trained(resnet18(num_classes=10))
    found = started(saved(published, tmp_path), "resnet18-imagenet")
    assert same({name.removeprefix("body."): value for name, value in found.items() if "head" not in name}, published)
    assert torch.equal(found["head.weight"], published["fc.weight"])
    assert said() == ["its fc is taken for the head"]


def test_modules_with_other_names_are_found_by_order_and_shape_and_that_is_said(
    tmp_path: Path, said: Callable[[], list[str]]
) -> None:
    network = resnet18(num_classes=10)
    network.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)  # what people do for small images
    network.maxpool = nn.Identity()
    published = as_trained(network)
    found = started(saved({"net": prefixed(published, "module.")}, tmp_path), "resnet18")
    pairs = zip(found.items(), published.values(), strict=True)
    assert all(torch.equal(value, expected) for (name, value), expected in pairs if not name.endswith("tracked"))
    assert said() == [
        "tensors are taken by their order and shapes, as names differ (module.conv1.weight for conv1.weight); its "
        "module.fc is taken for the head"
    ]
    classifier = ARCHITECTURES.get("resnet18")(10).eval()
    classifier.load_state_dict(found)
    network.load_state_dict(published)
    x = noise(2, side=16).float() / 255
    torch.testing.assert_close(classifier(x), network.eval()(x))


def test_layers_of_one_shape_in_another_order_are_not_taken_for_each_other(tmp_path: Path) -> None:
    first = [("blocks.0.conv1", "blocks.0.x"), ("blocks.0.conv2", "blocks.0.conv1"), ("blocks.0.x", "blocks.0.conv2")]
    swapped = renamed(weights_of(), *first, ("blocks.", "layer."))
    says = "does not hold the weights of this network: it has no blocks.0.conv1.weight (16x16x3x3), and "
    assert refused(saved(swapped, tmp_path)).startswith(says)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"conv1.weight": torch.zeros(4, 3, 3, 3)}, "conv1.weight is 4x3x3x3 there and 16x3x3x3 here, and "),
        ({"stem.weight": torch.zeros(16, 3, 3, 3)}, "it has no conv1.weight (16x3x3x3), and "),
        (
            weights_of() | {"blocks.1.conv2.weight": torch.zeros(32, 32, 1, 1)},
            "blocks.1.conv2.weight is 32x32x1x1 there and 32x32x3x3 here: give a file",
        ),
        (
            weights_of() | {"conv1.weight": torch.zeros(16, 3, 3, 3, dtype=torch.int8)},
            "conv1.weight is 16x3x3x3 of int8 there and 16x3x3x3 here: give a file",
        ),
        (
            weights_of() | {"blocks.3.conv1.weight": torch.zeros(64, 64, 3, 3)},
            "it also has module.blocks.3.conv1.weight, which this network has not: give a file",
        ),
        (weights_of() | {"conv1.bias": torch.zeros(16)}, "it also has module.conv1.bias, which this network has not"),
    ],
    ids=["smaller", "other names", "one layer", "int8", "a block more", "a bias more"],
)
def test_weights_of_another_network_are_refused_with_the_first_difference(
    content: Weights, says: str, tmp_path: Path
) -> None:
    sentence = refused(saved({"state_dict": prefixed(content, "module.")}, tmp_path))
    assert sentence.startswith(f"does not hold the weights of this network: {says}")
    assert sentence.endswith("give a file that was trained with the same architecture")


def test_a_deeper_network_is_not_taken_for_the_one_that_its_tensors_include(tmp_path: Path) -> None:
    deeper = saved(as_trained(resnet34(num_classes=10)), tmp_path)
    assert "it also has layer1.2.conv1.weight, which this network has not" in refused(deeper, "resnet18-imagenet")


@pytest.mark.parametrize("number", [torch.nan, torch.inf, 1e300])
def test_weights_that_are_not_finite_are_refused(number: float, tmp_path: Path) -> None:
    weights = weights_of()
    weights["blocks.1.bn1.running_var"] = weights["blocks.1.bn1.running_var"].double()
    weights["blocks.1.bn1.running_var"][3] = number
    assert (
        refused(saved(weights, tmp_path)) == "holds weights that are not finite (blocks.1.bn1.running_var): give others"
    )


RAN: list[str] = []


class Saboteur:
    """An object that runs something when it is unpickled the usual way."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return run, ("something",)


def run(what: str) -> None:
    RAN.append(what)


@pytest.mark.parametrize("wrapped", [lambda net: net, lambda net: {"epoch": 3, "model": net}])
def test_a_whole_pickled_network_is_refused_and_says_what_to_save(
    wrapped: Callable[[nn.Module], Any], tmp_path: Path
) -> None:
    path = saved(wrapped(ARCHITECTURES.get("resnet8")(10)), tmp_path)
    assert refused(path) == (
        "holds a whole pickled object (victims.architectures.resnet.ResNet): save the network's state_dict()"
    )


def test_a_torchscript_program_is_refused_and_says_what_to_save(tmp_path: Path) -> None:
    archive = saved(weights_of(), tmp_path)
    with zipfile.ZipFile(archive, "a") as parts:  # what tells such a program from weights
        parts.writestr("weights/constants.pkl", b"")
    assert refused(archive) == "holds a TorchScript program: save the network's state_dict()"


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    weights = weights_of()
    path = saved({"net": weights, "hook": Saboteur()}, tmp_path)
    assert same(started(path), weights)
    assert RAN == []
    torch.load(path, weights_only=False)
    assert RAN == ["something"]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"no weights", "cannot be read as weights: save a dictionary of tensors"),
        (b"PK\x03\x04 no weights", "cannot be read as weights: save a dictionary of tensors"),
        (b"", "is empty (0 bytes): replace it"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 46830571\n",
            "is a Git LFS pointer, not the data: fetch it with git lfs pull",
        ),
    ],
)
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_what_is_no_file_of_weights_is_refused(content: bytes, what: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights.{suffix}"
    path.write_bytes(content)
    assert refused(path) == what


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, [1, 2], 5])
def test_a_file_without_tensors_is_refused(content: Any, tmp_path: Path) -> None:
    assert refused(saved(content, tmp_path)) == "holds no dictionary of tensors: save the network's state_dict()"
