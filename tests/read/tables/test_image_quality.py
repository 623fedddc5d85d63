"""Where no budget bounds the change, PSNR and SSIM of the released images stand beside the numbers."""

import json
from typing import Any

import pytest

from bench.read.tables import (
    Table,
    build,
    to_html,
    to_json,
    to_latex,
    to_markdown,
)
from bench.record.record import Record
from bench.spec.layout import TableLayout
from tests.making.records import runs

FREE: dict[str, Any] = {"norm": "unbounded", "budget": None}


@pytest.fixture
def records() -> list[Record]:
    """Two unbounded methods, one of them in two crafting replicates, judged under two defenses, and a bounded one."""
    made = []
    for defense in ("plain", "jpeg-10"):
        made += [
            *runs([90.0, 91.0], method="none", defense=defense, ssim=1.0),
            *runs([20.0, 21.0, 22.0], method="cuda", defense=defense, protected_key="x", psnr=20.0, ssim=0.5, **FREE),
            *runs([40.0], method="cuda", defense=defense, craft_seed=1, protected_key="y", psnr=30.0, ssim=0.7, **FREE),
            *runs([30.0, 31.0], method="offset", defense=defense, protected_key="z", psnr=8.25, **FREE),
            *runs([10.0, 11.0], defense=defense, psnr=33.0, ssim=0.95),
        ]
    return made


def heads(table: Table) -> list[str]:
    return [cell.strip() for cell in to_markdown(table).splitlines()[2].split("|")[2:-1]]


def body(table: Table) -> dict[str, list[str]]:
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in to_markdown(table).splitlines()[4:]]
    return {line[0]: line[1:] for line in lines if line}


def test_both_stand_once_behind_the_columns_of_their_track(records: list[Record]) -> None:
    table = build(records, TableLayout(best="none"))
    assert heads(table) == [
        *("unbounded · plain", "unbounded · jpeg-10", "unbounded · PSNR (dB)", "unbounded · SSIM"),
        *("linf-8 · plain", "linf-8 · jpeg-10"),
    ]
    shown = {method: cells[2:4] for method, cells in body(table).items()}
    assert shown == {
        "none": ["–", "1.000"],  # noqa: RUF001
        "cuda": ["25.0", "0.600"],  # the mean over protected sets, however many victims each has
        "offset": ["8.2", "–"],  # noqa: RUF001
        "sep": ["", ""],
    }


def test_they_stand_behind_every_column_where_budgets_are_rows(records: list[Record]) -> None:
    table = build(records, TableLayout(rows=["method", "budget"], columns=["defense"], best="none"))
    assert heads(table)[-2:] == ["PSNR (dB)", "SSIM"]
    assert body(table)["sep"][-2:] == ["", ""]
    assert body(table)["cuda"][-2:] == ["25.0", "0.600"]


def test_a_table_without_that_track_is_as_it_was() -> None:
    table = build(runs([10.0, 11.0], psnr=33.0, ssim=0.95), TableLayout())
    assert table.summaries == ()
    assert "PSNR" not in to_markdown(table) + to_html(table) + to_json(table)


def test_every_format_has_them_and_says_what_they_are(records: list[Record]) -> None:
    table = build(records, TableLayout(best="none"))
    html, latex, markdown = to_html(table), to_latex(table), to_markdown(table)
    assert '<th scope="col">PSNR (dB)</th><th scope="col">SSIM</th>' in html
    assert '<td class="summary">25.0</td><td class="summary">0.600</td>' in html
    assert r"\multicolumn{2}{c}{PSNR (dB)} & \multicolumn{2}{c}{SSIM}" in latex
    for text in (html, latex, markdown):
        assert "PSNR (dB) and SSIM: of the released images" in text
        assert "unbounded and linf budgets are separate tracks" in text


def test_json_keeps_them_with_the_cell(records: list[Record]) -> None:
    document = json.loads(to_json(build(records, TableLayout())))
    assert "summaries" not in document, "these are there where the layout asks for some"
    cells = {(cell["method"], cell["defense"]): cell for cell in document["cells"] if cell["n"]}
    assert (cells["cuda", "plain"]["psnr"], cells["cuda", "plain"]["ssim"]) == (25.0, pytest.approx(0.6))
    assert (cells["offset", "jpeg-10"]["psnr"], cells["offset", "jpeg-10"]["ssim"]) == (8.25, None)
    assert "psnr" not in cells["sep", "plain"]


def test_methods_without_a_bound_compete_with_each_other_alone(records: list[Record]) -> None:
    table = build([one for one in records if one.craft_seed == 0], TableLayout())
    best = {cell.method: cell.best for row in table.cells for cell in row if cell.mean is not None}
    assert best == {"none": None, "cuda": True, "offset": False, "sep": None}
