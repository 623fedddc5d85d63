"""The checks of a machine find gradients, images, accuracies and compiled networks that are wrong, and advise."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, fx

from bench.checks.machine.compiling_agrees import compiled
from bench.checks.machine.crafting_agrees import crafting
from bench.checks.machine.gradients_agree import gradients
from bench.checks.machine.machine import Machine
from bench.checks.machine.measured import Measured
from bench.checks.machine.training_agrees import accuracies, noise
from bench.engine import compiling
from bench.engine.ensemble import Ensemble
from bench.engine.learner import Learner
from bench.engine.training import History

pytestmark = pytest.mark.slow

Check = Callable[[Machine], Iterator[Measured]]
EAGER = Ensemble._gradient
LEARNT = Learner.gradient


def failed(check: Check, machine: Machine) -> dict[str, str]:
    """Return the advice on all that is not fine, by names."""
    return {one.name: one.advice for one in check(machine) if one.verdict != "✓"}


def in_bf16(ensemble: Ensemble) -> bool:
    return ensemble.networks[0].head.weight.dtype is torch.bfloat16


def test_right_gradients_are_found_to_be_right_in_every_format(machine: Machine) -> None:
    found = list(gradients(machine))
    assert len(found) == 12
    assert {one.verdict for one in found} == {"✓"}
    assert all(one.measured > 0.9999 for one in found if one.measured is not None and "fp32" in one.name)


@pytest.mark.parametrize(
    "wrong",
    [torch.zeros_like, lambda g: g.flip(-1), lambda g: g.roll(1, 0), lambda g: g * torch.nan],
    ids=["zero", "mirrored", "of another image", "not a number"],
)
def test_wrong_gradients_are_in_the_way(
    wrong: Callable[[Tensor], Tensor], machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ensemble, "_gradient", lambda *arguments: wrong(EAGER(*arguments)))
    found = list(gradients(machine))
    assert {one.verdict for one in found} == {"✗"}
    assert "use another device until this is fine" in found[0].advice


def test_gradients_that_are_wrong_in_bf16_alone_lead_to_fp32(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def gradient(self: Ensemble, *arguments: Any) -> Tensor:
        right = EAGER(self, *arguments)
        return right.flip(-1) if in_bf16(self) else right

    monkeypatch.setattr(Ensemble, "_gradient", gradient)
    wrong = failed(gradients, machine)
    assert len(wrong) == 6
    assert all(", bf16" in name for name in wrong)
    assert all(advice.startswith("set precision to fp32 ") for advice in wrong.values())


def test_images_that_are_moved_elsewhere_are_found_method_by_method(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert failed(crafting, machine) == {}
    with monkeypatch.context() as of_frozen:
        of_frozen.setattr(Ensemble, "_gradient", lambda self, *rest: (-1 if in_bf16(self) else 1) * EAGER(self, *rest))
        assert [name.partition(",")[0] for name in failed(crafting, machine)] == ["sep", "sep-fa"]

    def gradient(self: Learner, x: Tensor, *rest: Any) -> Tensor:
        return LEARNT(self, x, *rest) if self.recipe.precision == "fp32" else torch.zeros_like(x)

    monkeypatch.setattr(Learner, "gradient", gradient)
    assert [name.partition(",")[0] for name in failed(crafting, machine)] == ["em-online"]


@pytest.mark.parametrize(("reached", "verdicts"), [(76.0, "✓✓"), (84.0, "✓✓"), (50.0, "✓✗"), (99.9, "✓✗")])
def test_an_accuracy_is_held_against_what_chance_explains(
    reached: float, verdicts: str, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vars(machine), "accuracies_on_cpu", [78.0, 80.0, 82.0])
    monkeypatch.setattr(Machine, "train_thin", lambda *given, **named: (None, History(test_acc=[10.0, reached])))
    found = list(accuracies(machine))
    assert "".join(one.verdict for one in found) == verdicts
    assert found[1].advice.startswith("set precision to fp32 ") == (verdicts == "✓✗")


def test_where_the_cpu_learns_nothing_nothing_is_compared_with_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vars(machine), "accuracies_on_cpu", [11.0, 12.0])
    wrong = failed(accuracies, machine)
    assert "the CPU itself does not learn" in wrong["accuracy, cpu fp32"]


def test_noise_is_that_of_seeds_and_of_test_images() -> None:
    # Half of 100 images: a standard deviation of 5 points. Three seeds that are a point apart: one of 1 point.
    assert noise([50.0] * 2, 100) == pytest.approx(4 * 5)
    assert noise([50.0] * 8, 100) == pytest.approx(4 * 2.5)
    assert noise([49.0, 50.0, 51.0], 100) == pytest.approx(4 * (2 * 26 / 3) ** 0.5)


@pytest.fixture
def _nothing_compiled() -> Iterator[None]:
    yield
    torch.compiler.reset()


@pytest.mark.usefixtures("_nothing_compiled")
def test_what_a_compiler_makes_is_held_against_eager_networks(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "BACKEND", "aot_eager")
    found = list(compiled(machine))
    assert [one.verdict for one in found] == ["✓"] * 3
    assert "times as fast after" in found[0].note

    def mixed_up(graph: fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        return lambda *tensors: tuple(one.roll(1, 0) for one in graph(*tensors))

    monkeypatch.setattr(compiling, "BACKEND", mixed_up)
    wrong = failed(compiled, machine)
    assert len(wrong) == 3
    assert all("leave --compile out" in advice for advice in wrong.values())


class InvalidCxxCompiler(Exception):  # noqa: N818 - as torch calls it
    """Of a machine without one."""


@pytest.mark.usefixtures("_nothing_compiled")
@pytest.mark.parametrize(
    ("error", "verdict", "advice"),
    [
        (InvalidCxxCompiler("No working C++ compiler found"), "·", "install g++"),
        (ValueError("no way"), "✗", "leave --compile out"),
    ],
)
def test_a_compiler_that_is_missing_is_told_from_one_that_fails(
    error: Exception, verdict: str, advice: str, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(graph: fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        raise error

    monkeypatch.setattr(compiling, "BACKEND", breaks)
    found = list(compiled(machine))
    assert [(one.verdict, one.measured) for one in found] == [(verdict, None)] * 2
    assert all(advice in one.advice for one in found)
    assert all(str(error) in one.note for one in found) == (verdict == "✗")
