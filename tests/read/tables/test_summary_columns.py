"""Mean, worst case and rank over columns say what they span, and never more than one norm."""

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from bench.read.stats import mean_ranks, summarise
from bench.read.tables import (
    SummaryCell,
    Table,
    build,
    to_markdown,
)
from bench.record.record import Record
from bench.spec.layout import SummaryKind, TableLayout
from bench.spec.names import NOTHING
from tests.making.records import record, runs

PLAIN, JPEG = [10.0, 12.0, 11.0], [80.0, 83.0, 82.0]


@pytest.fixture
def records() -> list[Record]:
    return [
        *runs([95.0, 94.0, 94.5], method="none"),
        *runs([85.0, 84.0, 84.5], method="none", defense="jpeg-10"),
        *runs(PLAIN),
        *runs(JPEG, defense="jpeg-10"),
        *runs([50.0, 51.0, 52.5], method="em"),
        *runs([60.0, 61.0, 63.0], method="em", defense="jpeg-10"),
    ]


def summary(table: Table, label: str, row: str) -> SummaryCell:
    (column,) = (one for one in table.summaries if " ".join(one.header) == label)
    cell = column.cells[table.rows.index((row,))]
    assert cell is not None
    return cell


def test_the_mean_is_over_defenses_seed_by_seed(records: list[Record]) -> None:
    cell = summary(build(records, TableLayout(summary=("mean",))), "mean", "sep")
    expected = summarise([45.0, 47.5, 46.5])
    assert cell.mean == pytest.approx(expected.mean)
    assert cell.n == 3
    assert expected.half_width is not None
    assert cell.high == pytest.approx(expected.mean + expected.half_width)
    assert cell.low == pytest.approx(expected.mean - expected.half_width)
    assert len(cell.keys) == 6


def test_the_worst_case_of_a_protection_is_its_highest_accuracy(records: list[Record]) -> None:
    table = build(records, TableLayout(summary=("worst",)))
    expected = summarise(JPEG)
    cell = summary(table, "worst case", "sep")
    assert (cell.mean, cell.n, len(cell.keys)) == (expected.mean, 3, 3)
    assert summary(table, "worst case", "none").mean == 94.5
    assert "Worst case: the column of a group with the highest mean." in table.notes


def test_where_high_is_good_the_worst_case_is_the_lowest() -> None:
    records = [record(defense=d, craft_seed=c, psnr=p + c) for d, p in (("plain", 30.0), ("a", 33.0)) for c in (0, 1)]
    assert summary(build(records, TableLayout(value="psnr", summary=("worst",))), "worst case", "sep").mean == 30.5


def test_a_missing_setting_might_have_been_the_worst(records: list[Record]) -> None:
    lost = [one for one in records if (one.method, one.defense) != ("em", "jpeg-10")]
    table = build(lost, TableLayout(summary=("mean", "worst")))
    for label in ("mean", "worst case"):
        assert (summary(table, label, "em").mean, summary(table, label, "em").n) == (None, 0)
        assert summary(table, label, "sep").mean is not None


def test_a_summary_stands_behind_each_budget_and_spans_no_other(records: list[Record]) -> None:
    l2 = [*runs([70.0, 71.0], norm="l2", budget=1.0), *runs([72.0, 75.0], norm="l2", budget=1.0, defense="jpeg-10")]
    table = build([*records, *l2], TableLayout(summary=("worst", "mean")))
    assert [(one.header, one.after) for one in table.summaries] == [
        (("linf-8", "worst case"), 1),
        (("linf-8", "mean"), 1),
        (("l2-1", "worst case"), 3),
        (("l2-1", "mean"), 3),
    ]
    for column in table.summaries:
        for cell in column.cells:
            assert cell is not None
            assert len({setting.norm for setting in cell.settings}) == 1
    assert summary(table, "l2-1 worst case", "sep").mean == 73.5


def test_victims_are_summarised_with_defenses() -> None:
    records = [
        *runs([10.0, 11.0]),
        *runs([20.0, 21.0], defense="jpeg-10"),
        *runs([30.0, 31.0], victim="vgg16"),
        *runs([40.0, 41.0], victim="vgg16", defense="jpeg-10"),
    ]
    layout = TableLayout(columns=["victim", "defense"], summary=("mean", "worst"))
    table = build(records, layout)
    assert (summary(table, "mean", "sep").mean, summary(table, "worst case", "sep").mean) == (25.5, 40.5)


def test_one_column_alone_has_no_summary() -> None:
    assert build(runs([10.0, 11.0]), TableLayout(summary=("mean", "worst"))).summaries == ()


def test_the_rank_column_is_that_of_the_settings_where_all_are_measured(records: list[Record]) -> None:
    alone = runs([1.0, 1.0, 1.0], method="em", defense="grayscale")
    table = build([*records, *alone], TableLayout(summary=("rank",)))
    strata = [np.array([[[10.0, 50.0], [12.0, 51.0], [11.0, 52.5]]]), np.array([[[80.0, 60], [83.0, 61], [82, 63]]])]
    expected = mean_ranks(strata, False)
    cell = summary(table, "mean rank", "sep")
    assert expected.low is not None
    assert (cell.mean, cell.low) == (expected.mean[0], expected.low[0]) == (1.5, 1.5)
    assert len(cell.settings) == 2
    assert "over 2 settings where all are measured" in table.notes[-1]


def test_references_are_not_ranked(records: list[Record]) -> None:
    noise = [run for d in ("plain", "jpeg-10") for run in runs([3.0, 3.1, 3.3], method="random-noise", defense=d)]
    table = build([*records, *noise], TableLayout(summary=("rank",)))
    (column,) = table.summaries
    ranks = dict(zip((row for (row,) in table.rows), column.cells, strict=True))
    assert ranks["none"] is ranks["random-noise"] is None
    assert [ranks[name].mean for name in ("sep", "em")] == [1.5, 1.5]  # type: ignore[union-attr]


def test_ranks_of_two_norms_are_two_columns(records: list[Record]) -> None:
    l2 = [*runs([70.0, 71.0], norm="l2", budget=1.0), *runs([72.0, 75.0], norm="l2", budget=1.0, method="em")]
    table = build([*records, *l2], TableLayout(summary=("rank",)))
    assert [one.header for one in table.summaries] == [("mean rank, linf",), ("mean rank, l2",)]
    assert summary(table, "mean rank, l2", "sep").mean == 1.0
    assert summary(table, "mean rank, linf", "sep").mean == 1.5


def test_ranks_never_mix_recipes() -> None:
    records = [
        *runs([10.0, 11.0]),
        *runs([20.0, 21.0], method="em"),
        *runs([30.0, 31.0], recipe="sep-2023"),
        *runs([20.0, 21.0], recipe="sep-2023", method="em"),
    ]
    table = build(records, TableLayout(columns=["recipe"], summary=("rank",)))
    means = {one.header[0]: summary(table, one.header[0], "sep").mean for one in table.summaries}
    assert means == {"mean rank, digits": 1.0, "mean rank, sep-2023": 2.0}


def test_defenses_that_judge_the_same_protected_sets_are_drawn_together() -> None:
    random = np.random.default_rng(0)
    values = {(m, d, c): float(random.normal(50, 5)) for m in ("sep", "em") for d in ("plain", "a") for c in range(4)}
    records = [record(method=m, defense=d, craft_seed=c, test_acc=acc) for (m, d, c), acc in values.items()]
    stratum = np.array([[[values[m, d, c] for m in ("sep", "em")] for c in range(4)] for d in ("plain", "a")])
    expected = mean_ranks([stratum], False)
    cell = summary(build(records, TableLayout(summary=("rank",))), "mean rank", "sep")
    assert expected.low is not None
    assert expected.high is not None
    assert (cell.mean, cell.low, cell.high) == (expected.mean[0], expected.low[0], expected.high[0])
    assert expected.mean == pytest.approx(stats.rankdata(stratum, axis=-1).mean(axis=(0, 1)))


def test_markdown_shows_summaries_beside_the_numbers(records: list[Record]) -> None:
    lines = to_markdown(build(records, TableLayout(summary=("mean", "worst", "rank")))).splitlines()
    assert lines[2].split("|")[2:-1] == [
        *("          plain ", "        jpeg-10 ", "       mean ", " worst case ", "         mean rank ")
    ]
    (sep,) = (line for line in lines if line.startswith("| sep"))
    assert sep == "| sep    | **11.0** ± 2.5 |   81.7   ± 3.8 | 46.3 ± 3.1 | 81.7 ± 3.8 | 1.50 [1.50, 1.50] |"


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        ({"summary": ["worst"], "columns": ["budget"]}, "make victim or defense a column axis"),
        ({"summary": ["worst"], "value": "train_acc"}, "neither end of train_acc is better"),
        ({"summary": ["rank"], "rows": ["method", "victim"]}, "make method the only row axis"),
        ({"summary": ["mean", "mean"]}, "a summary is named twice"),
        ({"summary": ["median"]}, "'mean', 'worst', 'rank', 'surrogates', "),
        ({"best": "anova"}, "'auto', 'ttest', 'wilcoxon' or 'none'"),
    ],
)
def test_an_impossible_summary_is_answered_with_what_to_do(written: dict[str, object], answer: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TableLayout.model_validate(written)
    assert answer in str(caught.value)


COSTS: tuple[SummaryKind, ...] = ("surrogates", "surrogate_seconds", "craft_passes")


def test_costs_are_those_of_one_protected_set_however_many_victims_it_has() -> None:
    of_sep: dict[str, Any] = {"surrogate_keys": ("s",), "surrogate_seconds": 100.0, "craft_passes": 50.0}
    of_five: dict[str, Any] = {"surrogate_keys": tuple("abcde"), "craft_passes": 50.0, "method": "em"}
    table = build(
        [
            *runs([95.0, 94.0], method="none", surrogate_seconds=0.0, craft_passes=0.0),
            *runs(PLAIN, **of_sep, protected_key="p"),
            *runs(JPEG, **of_sep, protected_key="p", defense="jpeg-10"),
            *runs([60.0, 61.0], **of_five, surrogate_seconds=510.0, protected_key="q", craft_seed=0),
            *runs([60.0, 61.0], **of_five, surrogate_seconds=490.0, protected_key="r", craft_seed=1),
        ],
        TableLayout(summary=COSTS),
    )
    for label, none, sep, em in (
        ("surrogates trained", 0, 1, 5),
        ("surrogate training (s)", 0, 100, 500),
        ("crafting passes", 0, 50, 50),
    ):
        assert [summary(table, label, row).mean for row in ("none", "sep", "em")] == [none, sep, em]
        assert [summary(table, label, row).n for row in ("sep", "em")] == [1, 2]
    printed = to_markdown(table)
    assert "surrogates trained" in printed.splitlines()[2]
    assert "Costs are of one protected set: the mean over those of a row." in printed


def test_a_cost_that_no_record_has_is_missing() -> None:
    table = build(runs(PLAIN), TableLayout(summary=("surrogate_seconds",)))
    assert (table.summaries[0].cells[0].mean, table.summaries[0].cells[0].n) == (None, 0)  # type: ignore[union-attr]
    assert to_markdown(table).splitlines()[4].rstrip(" |").endswith(NOTHING)


def test_costs_need_a_row_for_each_method() -> None:
    with pytest.raises(ValidationError, match="costs are of methods: make method a row axis"):
        TableLayout(rows="defense", columns=["method"], summary=("craft_passes",))
