"""A table says where images were changed by less than the budget lets them."""

from typing import Any

import pytest

from bench.read.tables import build
from bench.spec.layout import TableLayout
from tests.making.records import record

LAYOUT = TableLayout(rows="method", columns=["budget"], value="test_acc", best="none")


def notes(*changes: dict[str, Any]) -> list[str]:
    records = [record(key=f"{index:064x}", **one) for index, one in enumerate(changes)]
    return [note for note in build(records, LAYOUT, published=[]).notes if note.startswith("Spent less")]


def sep(**changes: Any) -> dict[str, Any]:
    return {"method": "sep", "method_params": {"steps": 10}, "norm": "linf", "budget": 16, "test_acc": 50.0, **changes}


def test_levels_that_were_left_are_told_with_what_was_spent() -> None:
    assert notes(sep(linf_levels=10)) == ["Spent less than their budget: sep 10 of 16 levels."]
    assert notes(sep(linf_levels=16)) == []


def test_the_set_that_was_changed_most_counts() -> None:
    assert notes(sep(linf_levels=10), sep(linf_levels=16, seed=1)) == []
    assert notes(sep(linf_levels=10), sep(linf_levels=12, seed=1)) == [
        "Spent less than their budget: sep 12 of 16 levels."
    ]


def test_settings_are_told_apart() -> None:
    other = sep(linf_levels=3, method_params={"steps": 3})
    assert notes(sep(linf_levels=10), other) == [
        "Spent less than their budget: sep (steps=10) 10 of 16 levels and sep (steps=3) 3 of 16 levels."
    ]


@pytest.mark.parametrize(("l2", "told"), [(0.96, False), (0.94, True), (1.0, False)])
def test_of_an_l2_budget_a_twentieth_may_be_left(l2: float, told: bool) -> None:
    found = notes(sep(norm="l2", budget=1.0, l2=l2))
    assert found == (["Spent less than their budget: sep 0.94 of 1 l2 norm."] if told else [])


def test_references_and_what_has_no_bound_are_not_told_of() -> None:
    assert notes(sep(method="random-noise", method_params={}, linf_levels=3)) == []
    assert notes(sep(method="cuda", method_params={}, norm="unbounded", budget=None, linf_levels=3)) == []
