"""Whatever a targeted method is told to do, its images stay within the budget, before and after they are released."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.contracts.budget import Budget
from bench.contracts.context import CraftContext
from bench.contracts.method import METHODS, CraftData
from bench.engine.release import audit, release
from tests.making.networks import CPU, checkpoints

COMMON: dict[str, st.SearchStrategy[Any]] = {
    "steps": st.integers(1, 2),
    "step_size": st.none() | st.floats(1e-3, 300),
    "shift": st.none() | st.integers(1, 9),
}
FROM_ONE_RUN = COMMON | {"checkpoints": st.integers(2, 3)}
OPTIONS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "sep": FROM_ONE_RUN,
    "sep-fast": FROM_ONE_RUN,
    "sep-fa": FROM_ONE_RUN | {"train_mode_means": st.booleans()},
    "sep-fa-vr": FROM_ONE_RUN
    | {"train_mode_means": st.booleans(), "last_means": st.booleans(), "inner_steps": st.integers(1, 2)},
    "single-checkpoint": COMMON
    | {
        "start": st.sampled_from(["clean", "normal"]),
        "augment": st.booleans(),
        "restarts": st.integers(1, 2),
        "step_fraction": st.none() | st.floats(1e-3, 10),
    },
    "seed-ensemble": COMMON | {"runs": st.just(2), "loss": st.sampled_from(["cross-entropy", "feature-alignment"])},
}
BUDGETS = st.builds(lambda size: Budget(norm="linf", size=size), st.integers(0, 255)) | st.builds(
    lambda size: Budget(norm="l2", size=size), st.just(0.0) | st.floats(1 / 255, 30)
)


@st.composite
def pictures(draw: st.DrawFn) -> torch.Tensor:
    """Draw 1 to 3 images of noise between two levels, which may be the same or the darkest and the brightest."""
    count, seed = draw(st.integers(1, 3)), draw(st.integers(0, 999))
    low, high = sorted((draw(st.sampled_from([0, 1, 127, 255])), draw(st.sampled_from([0, 128, 254, 255]))))
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(low, high + 1, (count, 3, 12, 12), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("name", sorted(OPTIONS))
@settings(derandomize=True, deadline=None, max_examples=12)
@given(draw=st.data())
def test_no_option_makes_a_method_leave_its_budget(name: str, draw: st.DataObject) -> None:
    kind = METHODS.get(name)
    method = kind(kind.Params.model_validate(draw.draw(st.fixed_dictionaries(OPTIONS[name]), label="parameters")))
    budget, images = draw.draw(BUDGETS, label="budget"), draw.draw(pictures(), label="images")
    networks = iter(checkpoints(3))
    surrogates = [[deepcopy(next(networks)).float() for _ in range(need.checkpoints)] for need in method.needs()]
    context = CraftContext(surrogates, seed=0, device=CPU, images=len(images))
    data = CraftData(images.float() / 255, torch.arange(len(images)), 10, torch.arange(len(images)))
    method.prepare(lambda: iter([data]), context)
    crafted = method.craft(data, budget, context)
    assert float(crafted.amin()) >= 0
    assert float(crafted.amax()) <= 1
    delta = (crafted.double() - data.x.double()).flatten(1)
    assert float(delta.abs().amax() if budget.norm == "linf" else delta.norm(dim=1).amax()) <= budget.radius + 1e-6
    assert budget.size is not None
    found = audit(images, release(images, crafted, budget))
    if budget.norm == "linf":
        assert found.linf_levels <= budget.size
    else:
        assert found.l2 <= budget.size * (1 + 1e-12)
