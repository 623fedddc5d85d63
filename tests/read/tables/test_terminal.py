"""A table on a terminal: everything, in lines that fit the window."""

import pytest
from rich.cells import cell_len

from bench.read.tables import Table, build, to_markdown, to_terminal
from bench.read.tables.blocks import blocks_of
from bench.spec.layout import TableLayout
from tests.making.records import runs

DEFENSES = ("plain", "jpeg-10", "grayscale", "adversarial-training:radius=8,steps=3")


@pytest.fixture
def table() -> Table:
    records = [
        one
        for method, mean in (("none", 90.0), ("sep", 10.0), ("a-method-with-a-name-that-is-rather-long", 20.0))
        for defense in DEFENSES
        for one in runs([mean, mean + 1], method=method, defense=defense)
    ]
    return build([*records, *runs([None], method="em")], TableLayout())


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_no_line_is_wider_than_the_window_and_no_number_is_lost(width: int, table: Table) -> None:
    text = to_terminal(table, width)
    assert max(map(cell_len, text.splitlines())) <= width
    for row in table.cells:
        for cell in row:
            assert cell.mean is None or f"{cell.mean:.1f}" in text
    assert text.count("**10.5**") == to_markdown(table).count("**10.5**") == 4


def test_each_block_names_its_rows_and_columns_keep_their_order(table: Table) -> None:
    lines = to_terminal(table, 60).splitlines()
    rows = [line for line in lines if line.startswith("sep ")]
    assert len(rows) > 1
    heads = " ".join(line.removeprefix("method") for line in lines if line.startswith("method "))
    assert heads.split() == ["plain", "jpeg-10", "grayscale", "3", "steps"]


def test_a_wide_window_has_one_block(table: Table) -> None:
    assert sum(line.startswith("sep ") for line in to_terminal(table, 200).splitlines()) == 1


def test_rows_without_any_number_are_named_alone(table: Table) -> None:
    text = to_terminal(table, 80)
    assert not [line for line in text.splitlines() if line.startswith("em ")]
    assert "Not shown, as nothing of them is measured: em." in text


@pytest.mark.parametrize(
    ("widths", "blocks"),
    [
        ([3, 3, 3], [range(0, 3)]),
        ([5, 5, 5, 5], [range(0, 2), range(2, 4)]),
        ([4, 4, 2, 4], [range(0, 2), range(2, 4)]),
        ([20, 3], [range(0, 1), range(1, 2)]),
    ],
)
def test_blocks_are_few_and_even(widths: list[float], blocks: list[range]) -> None:
    assert blocks_of(widths, 2, 14) == blocks
