"""What a plug-in's parameters are: the class in brackets, or what the body of its class says; and how deep bases go."""

import math
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from bench.api import DATASETS, DEFENSES, METHODS, Budget, CraftContext, CraftData, Defense, Field, Method, Params
from bench.contracts.dataset import DatasetPlugin
from bench.contracts.defense import Defenses
from bench.contracts.plugin import Plugin
from tests.making.crafting import digits, protect

KINDS = [
    *(METHODS.get(name) for name in METHODS.names()),
    *(DEFENSES.get(name) for name in DEFENSES.names()),
    *(DATASETS.get(name) for name in DATASETS.names()),
]


class Strength(Params):
    strength: float = Field(1.0, gt=0)


class Steps(Params):
    steps: int = 3


class Named(Method[Strength]):
    """Names its parameters in brackets."""


P_co = TypeVar("P_co", bound=Params, covariant=True)


class Base(Method[P_co]):
    """Leaves its parameters open."""


class Filled(Base[Steps]):
    """Fills them in."""


class Further(Filled):
    """Inherits them."""


class Written(Method):
    """Says them in its body, as plug-ins did before brackets."""

    Params = Strength

    def craft(self, data: CraftData, budget: Budget | None, ctx: CraftContext) -> Tensor:
        assert budget is not None
        return budget.project(data.x, data.x + self.params.strength)  # type: ignore[attr-defined]


class Nested(Method):
    """Declares them in its body."""

    class Params(Params):
        steps: int = 4


class Both(Method[Steps]):
    """Says in its body what counts."""

    Params = Strength


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Named, {"strength": 1.0}),
        (Filled, {"steps": 3}),
        (Further, {"steps": 3}),
        (Written, {"strength": 1.0}),
        (Nested, {"steps": 4}),
        (Both, {"strength": 1.0}),
        (Base, {}),
        (Method, {}),
    ],
    ids=lambda one: one.__name__ if isinstance(one, type) else "",
)
def test_parameters_are_those_in_brackets_unless_the_body_says_others(
    kind: type[Plugin], expected: dict[str, Any]
) -> None:
    assert kind().params.model_dump() == expected
    assert type(kind().params) is kind.Params


def test_naming_parameters_leaves_the_base_without() -> None:
    assert Method.Params is Defense.Params is DatasetPlugin.Params is Params
    assert Base.Params is Params


def test_given_parameters_are_the_plugins_own() -> None:
    given = Strength(strength=0.5)
    assert Named(given).params is given


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_no_plugin_is_more_than_two_steps_below_the_contract_it_keeps(kind: type[Plugin]) -> None:
    contracts = (Method, Defense, DatasetPlugin)
    (contract,) = (one for one in contracts if issubclass(kind, one))
    steps = [base for base in kind.__mro__ if issubclass(base, contract) and base is not contract]
    assert len(steps) <= 2, f"{kind.name}: {' > '.join(base.__name__ for base in steps)}"


def test_a_method_that_keeps_no_norm_is_given_the_ball_of_all_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Budget] = []

    class Inverted(Method):
        """Every image inverted."""

        name = "inverted"
        norms = ()

        def craft(self, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
            given.append(budget)
            return budget.project(data.x, 1 - data.x)

    monkeypatch.setitem(METHODS._plugins, "inverted", Inverted)
    released = protect(tmp_path, Inverted, None, digits())
    assert len(given) == 1
    assert torch.equal(released, 255 - digits().images)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_a_number_that_is_none_is_no_parameter(kind: type[Plugin], number: float) -> None:
    for field in kind.Params.model_fields:
        with pytest.raises(ValidationError):
            kind.Params.model_validate({field: number})


def test_a_chain_of_defenses_has_no_parameters_of_its_own() -> None:
    assert Defenses.parse("jpeg-10+cutmix").params.model_dump() == {}
