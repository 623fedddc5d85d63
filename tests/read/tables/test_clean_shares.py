"""Victims that see clean images besides are another setting: an axis of their own, never mixed in unseen."""

import json

import pytest

from bench.core.errors import SepbenchError
from bench.read.tables import CellId, build, to_json
from bench.record.record import Record
from bench.spec.layout import TableLayout
from tests.making.records import record, runs

SHARES = TableLayout(columns=["protected_fraction"])
CLEAN = TableLayout(columns=["clean_images"])


@pytest.fixture
def shares() -> list[Record]:
    return [
        *runs([94.0, 95.0], method="none"),
        *(run for share in (1.0, 0.6, 0.2) for run in runs([90 - 50 * share] * 2, protected_fraction=share)),
    ]


def test_shares_are_columns_in_percent_with_the_clean_reference_in_each(shares: list[Record]) -> None:
    table = build(shares, SHARES)
    assert table.columns == (("20 %",), ("60 %",), ("100 %",))
    assert [cell.mean for cell in table.cells[0]] == [94.5, 94.5, 94.5]
    assert [cell.mean for cell in table.cells[1]] == [80.0, 60.0, 40.0]
    assert len(table.distinct_cells()) == 4


def test_shares_may_be_rows_where_the_reference_has_one_line(shares: list[Record]) -> None:
    table = build(shares, TableLayout(rows=["method", "protected_fraction"], columns=["budget"]))
    assert table.rows == (("none", "–"), ("sep", "20 %"), ("sep", "60 %"), ("sep", "100 %"))  # noqa: RUF001


def test_shares_beside_budgets_keep_the_reference_everywhere() -> None:
    records = [
        *runs([94.0], method="none"),
        *(run for b in (2.0, 8.0) for share in (0.5, 1.0) for run in runs([b], budget=b, protected_fraction=share)),
    ]
    table = build(records, TableLayout(columns=["budget", "protected_fraction"]))
    assert [" ".join(label) for label in table.columns] == [
        "linf-2 50 %",
        "linf-2 100 %",
        "linf-8 50 %",
        "linf-8 100 %",
    ]
    assert [cell.mean for cell in table.cells[0]] == [94.0] * 4


def test_shares_that_vary_unseen_are_refused(shares: list[Record]) -> None:
    with pytest.raises(SepbenchError) as caught:
        build(shares, TableLayout())
    assert str(caught.value) == (
        "these records come from three protected fractions (0.2, 0.6, 1): choose one with --where "
        "protected_fraction=0.2, or make protected_fraction an axis of the table"
    )


@pytest.mark.parametrize("text", ["0.6", "60 %"])
def test_choosing_a_share_keeps_the_clean_reference(shares: list[Record], text: str) -> None:
    table = build(shares, TableLayout(), where={"protected_fraction": text})
    assert [cell.mean for (cell,) in table.cells] == [94.5, 60.0]
    assert "protected fraction 60 %" in table.context


def test_a_single_share_beside_the_reference_is_no_mixture() -> None:
    table = build([*runs([94.0], method="none"), *runs([60.0], protected_fraction=0.6)], TableLayout())
    assert table.context == "Data set digits, victim resnet8, recipe digits, budget linf-8, defense plain, " + (
        "protected fraction 60 %."
    )


def test_whole_releases_need_no_mention() -> None:
    assert "fraction" not in build(runs([60.0]), TableLayout()).context


def test_further_clean_images_are_a_setting_too() -> None:
    records = [*runs([60.0], clean_images=2000), *runs([10.0])]
    with pytest.raises(SepbenchError, match=r"two numbers of clean images \(0, 2000\): choose one with --where"):
        build(records, TableLayout())
    table = build(records, CLEAN)
    assert table.columns == (("no clean images",), ("2000 clean images",))
    assert [cell.mean for cell in table.cells[0]] == [10.0, 60.0]
    assert build(records[:1], TableLayout()).context.endswith("defense plain, 2000 clean images.")


def test_methods_compete_within_one_share() -> None:
    records = [
        *runs([10.0, 11.0, 12.5]),
        *runs([20.0, 21.5, 22.0], method="em"),
        *runs([80.0, 81.0, 82.5], protected_fraction=0.5),
        *runs([70.0, 71.5, 72.0], method="em", protected_fraction=0.5),
    ]
    table = build(records, TableLayout(rows=["protected_fraction", "method"]))
    assert [cell.best for (cell,) in table.cells] == [False, True, True, False]


def test_a_plan_and_its_record_agree_on_the_share() -> None:
    assert CellId.of(record(protected_fraction=0.6)) != CellId.of(record())
    assert CellId.of(record())["protected_fraction"] == 1.0


def test_json_names_share_and_clean_images(shares: list[Record]) -> None:
    cells = json.loads(to_json(build(shares, SHARES)))["cells"]
    assert [(cell["method"], cell["protected_fraction"]) for cell in cells] == [
        *(("none", 1.0), ("sep", 0.2), ("sep", 0.6), ("sep", 1.0))
    ]
    assert {cell["clean_images"] for cell in cells} == {0}
