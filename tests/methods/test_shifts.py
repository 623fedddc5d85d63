"""Methods that move images towards another class refuse a shift that leads back to the own one."""

import pytest
import torch
from torch import Tensor

from bench.contracts.budget import Budget
from bench.contracts.context import CraftContext
from bench.contracts.method import METHODS, CraftData
from bench.core.errors import SepbenchError
from tests.making.crafting import CPU, digits, networks, small_params

SHIFTED = [name for name in METHODS.names() if "shift" in METHODS.get(name).Params.model_fields]


def crafted(name: str, classes: int, shift: int | None) -> Tensor:
    kind = METHODS.get(name)
    changes = {"target": "target-class"} if name == "gradient-alignment" else {}
    method = kind(small_params(kind).model_copy(update={**changes, "shift": shift}))
    images = digits()
    x, y = images.images[:4].float() / 255, torch.arange(4) % classes
    data = CraftData(x, y, classes, torch.arange(4))
    context = CraftContext(networks(method), seed=0, device=CPU, images=4)
    method.prepare(lambda: iter([data]), context)
    return method.craft(data, Budget.parse("linf-8" if "linf" in kind.norms else "unbounded"), context)


def test_all_that_have_a_shift_are_tried() -> None:
    assert {"sep", "sep-fa", "sep-fa-vr", "single-checkpoint", "tap", "aap", "gradient-alignment", "dune"} <= {*SHIFTED}


@pytest.mark.parametrize("name", SHIFTED)
@pytest.mark.parametrize("shift", [10, 20])
def test_a_shift_to_the_own_class_is_refused(name: str, shift: int) -> None:
    with pytest.raises(SepbenchError, match=f"shift = {shift} after their own, and of 10 classes that is their own"):
        crafted(name, 10, shift)


@pytest.mark.parametrize("name", SHIFTED)
def test_a_shift_beyond_the_classes_is_counted_on(name: str) -> None:
    assert torch.equal(crafted(name, 10, 13), crafted(name, 10, 3))


def test_of_one_class_there_is_no_other() -> None:
    for shift in (1, None):
        with pytest.raises(SepbenchError, match="than their own, and there is one: protect at least two"):
            crafted("sep", 1, shift)
