"""Images that somebody brought are released as they are, and checked by what was spent on the files."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from bench.contracts.budget import Budget
from bench.contracts.method import METHODS
from bench.contracts.plugin import Params
from bench.contracts.promises import BrokenPromise
from bench.core.errors import SepbenchError
from bench.data.images import Splits
from bench.engine.brought import KIND, keep
from bench.engine.release import BudgetExceeded
from bench.plan.stage import CraftJob, Stage
from bench.run.stages.dispatch import run_stage
from bench.run.stages.workbench import Workbench
from bench.spec.method_row import MethodRow
from bench.store.artifacts import Store
from tests.making.crafting import CPU, brought, digits

LITTLE: Mapping[str, float] = {"linf_levels": 1, "l2": 0.5, "l0": 2}


def params(sha256: str, spent: Mapping[str, float] = LITTLE) -> Params:
    return METHODS.get("brought").Params.model_validate({"sha256": sha256, "spent": spent, "called": "em"})


def craft(store: Store, sha256: str, budget: str = "linf-8", spent: Mapping[str, float] = LITTLE) -> dict[str, object]:
    row = MethodRow(name="brought", params=params(sha256, spent))
    stage = Stage("0" * 64, "em", CraftJob(row, Budget.parse(budget), 0, ()), (), 0)
    return run_stage(stage, Workbench(Splits(digits(), digits()), store, CPU))


def test_the_bytes_that_were_brought_are_released(tmp_path: Path) -> None:
    store, made = Store(tmp_path), brought(digits())
    keep(store, made)
    meta = craft(store, made.sha256)
    assert torch.equal(store.tensors("craft", "0" * 64, "protected")["images"], made.images)
    assert meta["sha256"] == made.sha256


def test_the_audit_is_that_of_the_files_where_images_were_resized(tmp_path: Path) -> None:
    store, made = Store(tmp_path), brought(digits())
    keep(store, made)
    audit = craft(store, made.sha256, spent={"linf_levels": 7, "l2": 0.5, "l0": 90})["audit"]
    assert isinstance(audit, dict)
    assert {name: audit[name] for name in ("linf_levels", "l2", "l0")} == {"linf_levels": 7, "l2": 0.5, "l0": 90}


def test_resizing_that_adds_a_level_is_no_breach_and_files_beyond_the_budget_are(tmp_path: Path) -> None:
    made = brought(digits())
    made.images[0, 0, 0, 0] ^= 64
    store = Store(tmp_path)
    spent = {"linf_levels": 8, "l2": 0.5, "l0": 2}
    keep(store, made)
    craft(store, made.sha256, "linf-8", spent)
    with pytest.raises(BudgetExceeded, match="spend 8 levels of linf-4"):
        craft(Store(tmp_path), made.sha256, "linf-4", spent)


def test_bytes_of_which_nothing_else_is_told_are_held_to_the_budget_themselves(tmp_path: Path) -> None:
    near, far = brought(digits()), brought(digits())
    far.images[0, 0, 0, 0] ^= 64
    first, second = Store(tmp_path / "near"), Store(tmp_path / "far")
    keep(first, near)
    keep(second, far)
    audit = craft(first, near.sha256, spent={})["audit"]
    assert isinstance(audit, dict)
    assert audit["linf_levels"] == 1
    with pytest.raises(BrokenPromise):
        craft(second, far.sha256, spent={})


def test_images_that_are_not_in_this_home_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(SepbenchError, match="bring them again with sepbench evaluate"):
        craft(Store(tmp_path), "1" * 64)


def test_damaged_images_are_set_aside_and_asked_for(tmp_path: Path) -> None:
    store, made = Store(tmp_path), brought(digits())
    keep(store, made)
    file = store.folder(KIND, made.sha256) / "images.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\xff")
    with pytest.raises(SepbenchError, match="are damaged: bring them again"):
        craft(store, made.sha256)
    assert not store.has(KIND, made.sha256)


def test_a_method_row_is_known_by_the_name_that_was_given_and_by_no_parameters() -> None:
    row = MethodRow(name="brought", params=params("1" * 64))
    assert (row.known_as, row.known_params()) == ("em", {})
    assert row.params_json() == {"sha256": "1" * 64, "spent": LITTLE}, "the name is in no key"
    assert row.model_dump(mode="json") == {"brought": {"sha256": "1" * 64, "spent": LITTLE, "called": "em"}}


def test_without_images_the_method_is_refused_before_anything_runs() -> None:
    with pytest.raises(SepbenchError, match="sepbench evaluate PROTECTED --clean DATA"):
        METHODS.get("brought")().needs()
