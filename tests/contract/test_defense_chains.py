"""How defenses are written, read and composed, shown with defenses of the tests' own."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from bench.contracts import defense as defense_module
from bench.contracts.augment import Augmentation
from bench.contracts.defense import Defense, Defenses, Loss
from bench.contracts.plugin import Params
from bench.core.errors import SepbenchError
from bench.core.registry import Registry, UnknownName


class BlurParams(Params):
    radius: int = 3
    sigma: float = 1.0
    wrap: bool = False


class Blur(Defense):
    """Writes its name into everything it is given."""

    Params = BlurParams
    short = "radius"

    def dataset(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        return images * 2

    def augmentation(self, augmentation: Augmentation) -> Augmentation:
        return Augmentation(crop_padding=augmentation.crop_padding * 2)

    def batch(self, x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return x * 2, y * 2

    def loss(self, loss: Loss, epoch: int) -> Loss:
        return lambda network, x, y, generator: loss(network, x * 2, y, generator)

    def optimizer(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        optimizer.defaults["trace"] = [*optimizer.defaults.get("trace", []), "blur"]
        return optimizer

    def network(self, network: nn.Module) -> nn.Module:
        return nn.Sequential(network, nn.Identity())


class Shift(Defense):
    """Adds one to everything it is given."""

    def dataset(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        return images + 1

    def augmentation(self, augmentation: Augmentation) -> Augmentation:
        return Augmentation(crop_padding=augmentation.crop_padding + 1)

    def batch(self, x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return x + 1, y + 1

    def loss(self, loss: Loss, epoch: int) -> Loss:
        return lambda network, x, y, generator: loss(network, x + 1, y, generator)

    def optimizer(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        optimizer.defaults["trace"] = [*optimizer.defaults.get("trace", []), "shift"]
        return optimizer

    def network(self, network: nn.Module) -> nn.Module:
        return nn.Sequential(network, nn.Flatten())


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch, empty_package: str) -> Registry[type[Defense]]:
    """A registry that knows `blur` and `shift-right` and nothing else."""
    made: Registry[type[Defense]] = Registry("defense", empty_package, "sepbench.tests.none")
    made.register("blur")(Blur)
    made.register("shift-right")(Shift)
    monkeypatch.setattr(defense_module, "DEFENSES", made)
    return made


def generator() -> torch.Generator:
    return torch.Generator()


def params_of(written: Any) -> list[dict[str, Any]]:
    return [part["params"] for part in Defenses.parse(written).identity()]


@pytest.mark.parametrize(
    ("written", "params"),
    [
        ("blur", {"radius": 3, "sigma": 1.0, "wrap": False}),
        ("blur-5", {"radius": 5, "sigma": 1.0, "wrap": False}),
        ("blur:radius=5", {"radius": 5, "sigma": 1.0, "wrap": False}),
        ("blur:sigma=0.5,wrap=true", {"radius": 3, "sigma": 0.5, "wrap": True}),
        ("blur:sigma=1e-05", {"radius": 3, "sigma": 1e-05, "wrap": False}),
        ({"blur": {"radius": 5, "sigma": 2.5}}, {"radius": 5, "sigma": 2.5, "wrap": False}),
        ({"blur": None}, {"radius": 3, "sigma": 1.0, "wrap": False}),
    ],
)
def test_a_defense_is_written_by_name_value_fields_or_mapping(written: Any, params: dict[str, Any]) -> None:
    assert params_of(written) == [params]


@pytest.mark.parametrize(
    "written", ["blur-3", "blur-5", "blur:radius=5,sigma=0.5", "shift-right", "shift-right+blur-7"]
)
def test_the_written_form_is_kept(written: str) -> None:
    assert str(Defenses.parse(written)) == written


@pytest.mark.parametrize(
    ("written", "shown"), [("blur", "blur-3"), ("blur:radius=5", "blur-5"), ({"blur": {"radius": 5}}, "blur-5")]
)
def test_other_spellings_of_one_defense_are_shown_alike(written: Any, shown: str) -> None:
    assert str(Defenses.parse(written)) == shown


def test_spaces_around_the_plus_are_allowed() -> None:
    assert str(Defenses.parse("shift-right + blur-5")) == "shift-right+blur-5"


def test_the_order_of_a_chain_is_part_of_its_identity() -> None:
    assert Defenses.parse("blur+shift-right").identity() != Defenses.parse("shift-right+blur").identity()


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("blurr", "did you mean blur?"),
        ("blurr-5", "did you mean"),
        ("shift-rigth", "did you mean shift-right?"),
        ("blur+shift-rigth", "did you mean shift-right?"),
        ("shift-right-5", "did you mean shift-right?"),
        ({"blurr": {}}, "did you mean blur?"),
        ("cutout", "known: blur, shift-right"),
        ("", "known: blur, shift-right"),
        ("blur+", "known: blur, shift-right"),
    ],
)
def test_an_unknown_defense_is_answered_with_a_suggestion(written: Any, says: str) -> None:
    with pytest.raises(UnknownName) as caught:
        Defenses.parse(written)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("written", [5, None, ["blur"], {"blur": {}, "shift-right": {}}, {}, "blur:5", "blur:=5"])
def test_what_is_no_defense_is_refused_in_one_sentence(written: Any) -> None:
    with pytest.raises(SepbenchError) as caught:
        Defenses.parse(written)
    assert "is not a defense" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("written", ["blur-x", "blur-1.5", "blur:size=3", "blur:radius=", {"blur": {"radius": "3"}}])
def test_a_parameter_of_the_wrong_name_or_type_is_refused(written: Any) -> None:
    with pytest.raises(ValidationError):
        Defenses.parse(written)


@pytest.mark.parametrize(
    ("written", "applied"), [("blur+shift-right", lambda v: v * 2 + 1), ("shift-right+blur", lambda v: (v + 1) * 2)]
)
def test_a_chain_is_applied_from_left_to_right(written: str, applied: Callable[[Any], Any]) -> None:
    chain = Defenses.parse(written)
    images, x, y = torch.full((2, 3, 4, 4), 3), torch.full((2, 3, 4, 4), 0.25), torch.tensor([1, 2])
    assert torch.equal(chain.dataset(images, y, generator()), applied(images))
    assert chain.augmentation(Augmentation(crop_padding=3)).crop_padding == applied(3)
    changed, targets = chain.batch(x, y, generator())
    assert torch.equal(changed, applied(x))
    assert torch.equal(targets, applied(y))
    seen = chain.loss(lambda network, images, targets, generator: images.sum(), epoch=0)
    assert torch.equal(seen(nn.Identity(), x, y, generator()), applied(x).sum())
    optimizer = chain.optimizer(torch.optim.SGD(nn.Linear(1, 1).parameters(), 0.1))
    assert optimizer.defaults["trace"] == [str(part.name).split("-")[0] for part in chain.chain]
    network = chain.network(nn.Linear(1, 1))
    innermost = nn.Identity if written.startswith("blur") else nn.Flatten
    assert isinstance(network[0][1], innermost)  # type: ignore[index]
