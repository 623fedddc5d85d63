"""A table as people and programs read it."""

import io
import json

import pandas as pd
import pytest
from rich.cells import cell_len

from bench.core.errors import SepbenchError
from bench.read.tables import (
    CellId,
    Table,
    build,
    render,
    to_csv,
    to_html,
    to_json,
    to_latex,
    to_markdown,
)
from bench.spec.layout import TableLayout
from tests.making.records import record, runs


@pytest.fixture
def small() -> Table:
    """Four methods at two budgets, three seeds; one run failed, one cell was never run."""
    sep = {"checkpoints": 3, "steps": 30}
    more = {"checkpoints": 30, "steps": 30}
    records = [
        *runs([94.6, 94.4, 94.5], method="none"),
        *runs([93.9, 94.1, 94.0], method="random-noise", budget=2.0),
        *runs([93.1, 93.9, 93.5], method="random-noise"),
        *runs([38.2, 44.9, 41.0], budget=2.0, method_params=sep),
        *runs([9.6, 14.2], method_params=sep),
        *runs([15.1, 14.2, 14.6], method_params=more),
        record(status="failed", reason="out of memory", seed=2, method_params=sep),
    ]
    expected = [CellId.of(record(method_params=more, budget=2.0, seed=seed)) for seed in range(3)]
    return build(records, TableLayout(), expected=[*map(CellId.of, records), *expected])


def test_markdown_reads_well_as_it_stands(small: Table) -> None:
    assert to_markdown(small) == (
        """\
**small: test accuracy (%)**

| method               |     linf-2 |                   linf-8 |
| -------------------- | ---------: | -----------------------: |
| none                 | 94.5 ± 0.2 |   94.5   ±  0.2          |
| random-noise         | 94.0 ± 0.2 |   93.5   ±  1.0          |
| sep (checkpoints=3)  | 41.4 ± 8.4 | **11.9** ± 29.2 (2 of 3) |
| sep (checkpoints=30) |    –       | **14.6** ±  1.1          |

Data set digits, victim resnet8, recipe digits, defense plain.
n = 3 victim seeds unless marked (runs done of planned); mean ± 95 % half-width (Student t); \
4 of 21 runs missing, 1 of them failed.
Bold: the lowest of the methods in a column, all else equal, and all that are not distinguishable from it at 5 % \
(paired t-test by seed, Holm-corrected over the comparisons of a column); references take no part.
Several are bold: which of them is the lowest cannot be told.
With n = 2 one paired t-test finds a true difference of 44.9 in 80 % of cases, and smaller ones, or several at once, \
less often (standard deviation of paired differences: 3.9).
"""  # noqa: RUF001
    )


def test_markdown_keeps_a_column_for_one_number() -> None:
    assert "| method | test accuracy (%) |" in to_markdown(build([record(test_acc=61.24)], TableLayout()))
    assert "|              61.2 |" in to_markdown(build([record(test_acc=61.24)], TableLayout()))


def test_n_stands_in_the_cells_where_it_differs() -> None:
    records = [*runs([60.0, 61.0, 62.0]), *runs([70.0, 71.0], method="em"), *runs([80.0], method="tap")]
    text = to_markdown(build(records, TableLayout()))
    assert "61.0 ± 2.5 (n = 3) |" in text
    assert "70.5 ± 6.4 (n = 2) |" in text
    assert "80.0       (n = 1) |" in text
    assert "n counts victim seeds; mean" in text


def test_a_lost_replicate_shows_in_n_and_a_lost_victim_only_in_the_count() -> None:
    planned = [record(method=m, craft_seed=c, seed=s) for m in ("sep", "em", "tap") for c in (0, 1) for s in (0, 1)]
    lost = {("em", 1, 0), ("tap", 1, 0), ("tap", 1, 1)}
    done = [
        r.model_copy(update={"test_acc": 60.0 + r.craft_seed})
        for r in planned
        if (r.method, r.craft_seed, r.seed) not in lost
    ]
    text = to_markdown(build(done, TableLayout(), expected=map(CellId.of, planned)))
    assert "60.5 ± 6.4 (3 of 4) " in text
    assert "60.0       (n = 1, 2 of 4) |" in text


@pytest.mark.parametrize(
    ("value", "number", "shown"),
    [
        ("ssim", 0.98765, "0.988"),
        ("psnr", 31.26, "31.3"),
        ("l2", 1.23456, "1.23"),
        ("craft_passes", 900.0, "900"),
    ],
)
def test_other_values_have_decimals_that_suit_them(value: str, number: float, shown: str) -> None:
    table = build([record(**{value: number})], TableLayout(value=value))
    assert f" {shown} |" in to_markdown(table)


def test_wide_letters_and_bars_do_not_break_the_table() -> None:
    records = [
        record(dataset="手書き数字", test_acc=60.0),
        record(dataset="a|b", test_acc=70.0, train_sha256="c" * 64),
        record(dataset="café", test_acc=80.0, train_sha256="d" * 64),
    ]
    lines = to_markdown(build(records, TableLayout(rows="dataset"))).splitlines()[2:7]
    assert {cell_len(line) for line in lines} == {cell_len(lines[0])}
    assert [line.replace("\\|", "").count("|") for line in lines] == [3] * 5
    assert lines[0].startswith("| data set")


def test_json_has_exactly_the_agreed_fields(small: Table) -> None:
    document = json.loads(to_json(small))
    assert list(document) == ["experiment", "value", "cells"]
    assert (document["experiment"], document["value"]) == ("small", "test_acc")
    fields = [
        *("method", "method_params", "norm", "budget", "dataset", "victim", "defense"),
        *("mean", "half_width", "n", "keys", "published"),
        *("recipe", "protected_fraction", "clean_images", "missing", "best"),
    ]
    assert all(list(cell) == fields for cell in document["cells"])
    clean, *_, last = document["cells"]
    assert (clean["method"], clean["norm"], clean["budget"], clean["n"]) == ("none", None, None, 3)
    assert clean["mean"] == pytest.approx(94.5, abs=1e-12)
    assert last["method_params"] == {"checkpoints": 30, "steps": 30}
    assert (last["published"], last["recipe"], last["missing"], last["best"]) == (None, "digits", 0, True)
    assert (clean["best"], clean["protected_fraction"], clean["clean_images"]) == (None, 1.0, 0)


def test_json_of_summaries_says_what_they_span() -> None:
    records = [*runs([60.0, 62.0]), *runs([70.0, 74.0], defense="jpeg-10")]
    document = json.loads(to_json(build(records, TableLayout(summary=("worst",)))))
    (worst,) = document["summaries"]
    assert (worst["summary"], worst["label"], worst["mean"], worst["n"]) == ("worst", ["worst case"], 72.0, 2)
    assert [setting["defense"] for setting in worst["settings"]] == ["plain", "jpeg-10"]
    assert worst["keys"] == [record.key for record in records[2:]]


def test_json_shows_gaps_and_the_clean_reference_once(small: Table) -> None:
    cells = json.loads(to_json(small))["cells"]
    assert len(cells) == 7
    (gap,) = (cell for cell in cells if cell["mean"] is None)
    assert (gap["budget"], gap["half_width"], gap["n"], gap["keys"]) == (2.0, None, 0, [])


def test_json_numbers_are_not_rounded() -> None:
    (cell,) = json.loads(to_json(build([record(test_acc=61.23456789012345)], TableLayout())))["cells"]
    assert cell["mean"] == 61.23456789012345


def test_the_same_records_give_the_same_json() -> None:
    records = [*runs([60.1, 62.3, 61.7]), *runs([80.9, 80.1], budget=2.0)]
    assert to_json(build(records, TableLayout())) == to_json(build(records[::-1], TableLayout()))


def test_csv_read_by_pandas_says_what_the_json_says(small: Table) -> None:
    frame = pd.read_csv(io.StringIO(to_csv(small)))
    cells = json.loads(to_json(small))["cells"]
    assert len(frame) == len(cells)
    assert set(frame["experiment"]) == {"small"}
    assert set(frame["recipe"]) == {"digits"}
    assert frame["missing"].sum() == small.missing
    for row, cell in zip(frame.to_dict("records"), cells, strict=True):
        for name in ("method", "norm", "budget", "dataset", "victim", "defense", "mean", "half_width", "n"):
            expected = cell[name]
            if isinstance(expected, float):  # before pandas 3 the last bit of what it reads may be off
                expected = pytest.approx(expected, rel=1e-15, abs=0)
            assert (None if pd.isna(row[name]) else row[name]) == expected
        assert json.loads(row["method_params"]) == cell["method_params"]
        assert ([] if pd.isna(row["keys"]) else row["keys"].split()) == cell["keys"]


def test_every_format_is_known_by_its_name(small: Table) -> None:
    assert render(small, "md") == to_markdown(small)
    assert render(small, "csv") == to_csv(small)
    assert render(small, "latex") == to_latex(small)
    assert render(small, "html") == to_html(small)
    assert render(small, "json") == to_json(small)


def test_an_unknown_format_is_answered_with_the_known_ones(small: Table) -> None:
    with pytest.raises(SepbenchError) as caught:
        render(small, "xlsx")
    assert str(caught.value) == "unknown table format 'xlsx': choose one of md, csv, latex, html, json"
