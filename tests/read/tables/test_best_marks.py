"""Bold means best, or not to be told from it; a table says so, and marks nothing that it cannot judge."""

import pytest

from bench.read.tables import Table, build, to_markdown
from bench.record.record import Record
from bench.spec.layout import TableLayout
from tests.making.records import record, runs


def marks(table: Table) -> dict[tuple[str, ...], list[bool | None]]:
    return {row: [cell.best for cell in cells] for row, cells in zip(table.rows, table.cells, strict=True)}


@pytest.fixture
def records() -> list[Record]:
    """Two methods alike and one far off at linf-8, all apart at linf-2; one of the references lower than any."""
    return [
        *runs([93.0, 93.1, 93.2], method="none"),
        *runs([3.5, 3.4, 3.6], method="random-noise"),
        *runs([10.0, 12.0, 11.0], method="sep"),
        *runs([11.0, 11.5, 11.2], method="sep-fa"),
        *runs([30.0, 32.5, 31.0], method="em"),
        *runs([3.5, 3.4, 3.6], method="random-noise", budget=2.0),
        *runs([50.0, 52.0, 51.0], method="sep", budget=2.0),
        *runs([40.0, 42.1, 41.2], method="sep-fa", budget=2.0),
        *runs([60.0, 62.5, 61.0], method="em", budget=2.0),
    ]


def test_references_are_never_the_best(records: list[Record]) -> None:
    assert marks(build(records, TableLayout())) == {
        ("none",): [None, None],
        ("random-noise",): [None, None],
        ("sep",): [False, True],
        ("sep-fa",): [True, True],
        ("em",): [False, False],
    }


def test_what_is_not_below_the_clean_reference_is_not_bold() -> None:
    records = [
        *runs([50.0, 51.0, 49.0], method="none"),
        *runs([50.2, 51.3, 49.2]),
        *runs([50.0, 51.0, 49.0], method="em"),
        *runs([40.0, 41.2, 39.1], budget=16.0),
        *runs([60.0, 61.0, 59.5], budget=16.0, method="em"),
        *runs([20.0, 21.0, 22.0], method="none", defense="jpeg-10"),
        *runs([20.1, 20.9, 22.1], defense="jpeg-10"),
        *runs([19.9, 20.9, 21.9], method="em", defense="jpeg-10"),
    ]
    table = build(records, TableLayout(columns=["budget", "defense"]))
    assert [" ".join(header) for header in table.columns] == ["linf-8 plain", "linf-8 jpeg-10", "linf-16 plain"]
    assert marks(table)["sep",] == [False, False, True]
    assert marks(table)["em",] == [False, True, False]
    assert table.notes[1] == "Not bold: what would be, and is not below the clean reference."


def test_where_a_table_is_of_images_the_clean_reference_bounds_nothing() -> None:
    records = [
        record(method=method, craft_seed=seed, seed=seed, craft_seconds=seconds + seed / 10)
        for method, seconds in (("none", 0.0), ("sep", 31.0), ("em", 35.0))
        for seed in (0, 1)
    ]
    assert marks(build(records, TableLayout(value="craft_seconds"))) == {
        ("none",): [None],
        ("sep",): [True],
        ("em",): [False],
    }


def test_the_caption_says_what_bold_means(records: list[Record]) -> None:
    text = to_markdown(build(records, TableLayout()))
    assert "**11.2** ± 0.6" in text
    assert "Bold: the lowest of the methods in a column, all else equal" in text
    assert "at 5 % (paired t-test by seed, Holm-corrected over the comparisons of a column)" in text


def test_where_the_best_cannot_be_told_from_the_next_none_of_them_is_called_the_best(records: list[Record]) -> None:
    said = "In 1 of 2 comparisons several are bold: which of them is the lowest cannot be told."
    assert said in build(records, TableLayout()).notes
    apart = [*runs([10.0, 12.0, 11.0]), *runs([30.0, 32.5, 31.0], method="em")]
    assert not any("cannot be told" in note for note in build(apart, TableLayout()).notes)
    alike = [*runs([10.0, 12.0, 11.0]), *runs([11.0, 11.5, 11.2], method="em")]
    table = build(alike, TableLayout())
    assert marks(table) == {("sep",): [True], ("em",): [True]}
    assert "Several are bold: which of them is the lowest cannot be told." in table.notes


def test_the_best_is_bold_alone_only_where_the_interval_of_the_difference_is_narrower_than_the_gap() -> None:
    # Gaps of 4 in the mean; of three differences the half-width is 4.303 sd / sqrt(3): 2.5 for sd 1, 5.0 for sd 2.
    alone = [*runs([10.0, 10.0, 10.0]), *runs([13.0, 14.0, 15.0], method="em")]
    tied = [*runs([10.0, 10.0, 10.0]), *runs([12.0, 14.0, 16.0], method="em")]
    assert marks(build(alone, TableLayout())) == {("sep",): [True], ("em",): [False]}
    assert marks(build(tied, TableLayout())) == {("sep",): [True], ("em",): [True]}


def test_marks_can_be_left_out(records: list[Record]) -> None:
    table = build(records, TableLayout(best="none"))
    assert {cell.best for cell in table.distinct_cells()} == {None}
    assert not any("old" in note for note in table.notes)


def test_where_high_is_good_the_highest_is_marked() -> None:
    records = [
        record(method=method, craft_seed=seed, psnr=psnr + seed / 10)
        for method, psnr in (("sep", 31.0), ("em", 35.0))
        for seed in (0, 1)
    ]
    assert marks(build(records, TableLayout(value="psnr"))) == {("sep",): [False], ("em",): [True]}


def test_where_no_end_is_good_nothing_is_marked() -> None:
    records = [*runs([97.0, 98.0], "train_acc"), *runs([9.0, 8.0], "train_acc", method="em")]
    table = build(records, TableLayout(value="train_acc"))
    assert (marks(table), table.notes) == ({("sep",): [None], ("em",): [None]}, ())
    asked = build(records, TableLayout(value="train_acc", best="ttest"))
    assert asked.notes == ("Nothing is marked: neither end of train_acc is better.",)


def test_one_seed_tells_nothing_and_says_so_where_marks_are_asked_for() -> None:
    records = [*runs([10.0]), *runs([90.0], method="em")]
    assert (marks(build(records, TableLayout())), build(records, TableLayout()).notes) == (
        {("sep",): [None], ("em",): [None]},
        (),
    )
    assert build(records, TableLayout(best="ttest")).notes == (
        "Nothing is marked: a paired t-test takes 2 or more samples of each method with the seeds of the best one's.",
    )


def test_wilcoxon_does_not_bold_everything_for_want_of_seeds(records: list[Record]) -> None:
    few = build(records, TableLayout(best="wilcoxon"))
    assert {cell.best for cell in few.distinct_cells()} == {None}
    assert few.notes[0].startswith("Nothing is marked: a Wilcoxon signed-rank test takes 6 or more samples")
    good, bad = [10.0, 12.0, 11.0, 13.0, 9.0, 14.0], [30.0, 33.0, 31.5, 35.0, 29.1, 34.2]
    enough = build([*runs(good), *runs(bad, method="em")], TableLayout(best="wilcoxon"))
    assert marks(enough) == {("sep",): [True], ("em",): [False]}


def test_victims_of_one_set_are_not_paired_with_replicates() -> None:
    replicated = [*runs([10.0, 11.0]), *runs([12.0, 13.0], craft_seed=1)]
    table = build([*replicated, *runs([40.0, 41.0], method="em")], TableLayout(best="ttest"))
    assert marks(table) == {("sep",): [None], ("em",): [None]}
    assert table.notes[0].startswith("Nothing is marked")


def test_replicates_are_paired_by_their_means() -> None:
    # Victims of a replicate differ widely, replicates alike: paired by replicate the difference is certain.
    records = [
        record(method=method, craft_seed=craft, seed=seed, test_acc=acc + 10 * craft + spread * seed)
        for method, acc, spread in (("sep", 20.0, 9.0), ("em", 24.0, 3.0))
        for craft in (0, 1, 2)
        for seed in (0, 1)
    ]
    assert marks(build(records, TableLayout())) == {("sep",): [True], ("em",): [False]}


def test_a_column_without_comparisons_leaves_the_others_marked(records: list[Record]) -> None:
    more = [*records, *runs([20.0], budget=16.0), *runs([50.0], budget=16.0, method="em")]
    table = build(more, TableLayout(best="ttest"))
    assert marks(table)["sep",] == [False, True, None]
    assert table.notes[1].startswith("Not every column is marked: a paired t-test takes 2 or more")


def test_methods_compete_within_their_norm() -> None:
    records = [
        *runs([10.0, 11.0, 12.5]),
        *runs([20.0, 21.3, 22.0], method="em"),
        *runs([30.0, 31.1, 32.0], method="lsp", norm="l2", budget=1.0),
        *runs([60.0, 61.0, 62.9], method="ar", norm="l2", budget=1.0),
    ]
    table = build(records, TableLayout(rows=["budget", "method"], columns=["defense"]))
    assert marks(table) == {
        ("linf-8", "sep"): [True],
        ("linf-8", "em"): [False],
        ("l2-1", "lsp"): [True],
        ("l2-1", "ar"): [False],
    }


def test_methods_may_be_columns() -> None:
    records = [*runs([10.0, 11.0, 12.5]), *runs([20.0, 21.3, 22.0], method="em")]
    table = build(records, TableLayout(rows="defense", columns=["method"]))
    assert [cell.best for cell in table.cells[0]] == [True, False]
    assert "of the methods in a row" in table.notes[0]
