"""Which number stands where, what it is made of, and what is missing."""

import pytest

from bench.read.tables import (
    CellId,
    Table,
    TableCell,
    build,
)
from bench.spec.layout import TableLayout
from tests.making.records import record, runs


def names(headers: tuple[tuple[str, ...], ...]) -> list[str]:
    return [" ".join(header) for header in headers]


def cell_at(table: Table, row: str, column: str) -> TableCell:
    return table.cells[names(table.rows).index(row)][names(table.columns).index(column)]


def test_a_cell_is_made_of_the_records_of_its_seeds_and_remembers_them() -> None:
    records = [*runs([60.0, 62.0], budget=8.0), *runs([80.0, 82.0], budget=2.0)]
    table = build(records, TableLayout())
    assert names(table.columns) == ["linf-2", "linf-8"]
    cell = cell_at(table, "sep", "linf-8")
    assert (cell.mean, cell.n) == (61.0, 2)
    assert cell.keys == tuple(record.key for record in records[:2])


@pytest.mark.parametrize("shift", [1, 2, 3])
def test_the_order_of_records_changes_no_cell(shift: int) -> None:
    records = [*runs([60.1, 62.3, 61.7]), *runs([80.9], method="em")]
    shuffled = records[shift:] + records[:shift]
    assert set(build(shuffled, TableLayout()).distinct_cells()) == set(build(records, TableLayout()).distinct_cells())


def test_parameters_are_named_only_where_they_tell_rows_apart() -> None:
    table = build(
        [
            record(method_params={"checkpoints": 30, "steps": 30}),
            record(method_params={"checkpoints": 3, "steps": 30}),
            record(method="sep-fa", method_params={"checkpoints": 30, "steps": 30}),
        ],
        TableLayout(),
    )
    assert names(table.rows) == ["sep (checkpoints=30)", "sep (checkpoints=3)", "sep-fa"]


def test_a_parameter_that_only_one_version_of_a_method_has_tells_too() -> None:
    table = build([record(method_params={}), record(method_params={"shift": 1, "clip": True})], TableLayout())
    assert names(table.rows) == ["sep", "sep (clip=true, shift=1)"]


def test_rows_follow_the_experiment() -> None:
    records = [record(method_params={"checkpoints": n}) for n in (3, 5, 15)] + [record(method="none")]
    order = [("sep", {"checkpoints": 15}), ("em", {}), ("sep", {"checkpoints": 3})]
    rows = names(build(records, TableLayout(), order).rows)
    assert rows == ["none", "sep (checkpoints=15)", "sep (checkpoints=3)", "sep (checkpoints=5)"]


def test_without_an_order_the_references_come_first() -> None:
    records = [record(method=name) for name in ("tap", "random-noise", "em", "none")]
    assert names(build(records, TableLayout()).rows) == ["none", "random-noise", "tap", "em"]


def test_budgets_ascend_within_their_norm() -> None:
    budgets = [("linf", 16.0), ("l2", 1.5), ("linf", 2.0), ("l2", 0.5), ("linf", 8.0)]
    table = build([record(norm=norm, budget=size) for norm, size in budgets], TableLayout())
    assert names(table.columns) == ["linf-2", "linf-8", "linf-16", "l2-0.5", "l2-1.5"]
    assert table.notes[0].startswith("linf and l2 budgets are separate tracks")


def test_the_clean_reference_stands_in_every_budget_column_of_its_defense() -> None:
    records = [
        record(method="none", test_acc=95.0),
        record(method="none", test_acc=85.0, defense="jpeg-10"),
        *(record(budget=b, defense=d, test_acc=9.0) for b in (2.0, 8.0) for d in ("plain", "jpeg-10")),
    ]
    table = build(records, TableLayout())
    assert names(table.columns) == ["linf-2 plain", "linf-2 jpeg-10", "linf-8 plain", "linf-8 jpeg-10"]
    assert [cell.mean for cell in table.cells[0]] == [95.0, 85.0, 95.0, 85.0]
    clean = [cell for cell in table.distinct_cells() if cell.method == "none"]
    assert [(cell.norm, cell["budget"], cell["defense"]) for cell in clean] == [
        (None, None, "plain"),
        (None, None, "jpeg-10"),
    ]


def test_the_clean_reference_has_one_row_where_budgets_are_rows() -> None:
    records = [record(method="none", test_acc=95.0), *(record(budget=b, test_acc=9.0) for b in (2.0, 8.0))]
    table = build(records, TableLayout(rows=["method", "budget"], columns=["defense"]))
    assert names(table.rows) == ["none –", "sep linf-2", "sep linf-8"]  # noqa: RUF001


def test_a_clean_reference_without_any_method_beside_it_is_shown() -> None:
    records = [record(test_acc=9.0), record(method="none", test_acc=85.0, defense="jpeg-10")]
    table = build(records, TableLayout())
    assert cell_at(table, "none", "– jpeg-10").mean == 85.0  # noqa: RUF001
    assert cell_at(table, "sep", "linf-8 plain").mean == 9.0


def test_what_all_records_share_is_named_once_and_not_in_headers() -> None:
    table = build([record(), record(budget=2.0)], TableLayout(rows=["victim", "method"]))
    assert (table.row_axes, table.column_axes) == (("victim",), ("budget",))
    assert table.context == "Data set digits, recipe digits, defense plain, method sep."


def test_a_table_of_a_profile_says_so() -> None:
    table = build([record(profile="cpu", overrides=("recipe.epochs=5",))], TableLayout())
    assert table.context.endswith("budget linf-8, defense plain, profile cpu, with recipe.epochs=5.")


def test_failed_and_absent_runs_are_missing_and_counted() -> None:
    planned = [record(method=m, seed=s) for m in ("sep", "em") for s in range(3)]
    failed = record(seed=2, status="failed", reason="out of memory", test_acc=99.0)
    table = build([*runs([60.0, 61.0]), failed], TableLayout(), expected=[CellId.of(r) for r in planned])
    sep, em = (row[0] for row in table.cells)
    assert (sep.mean, sep.n, sep.missing) == (60.5, 2, 1)
    assert (em.mean, em.n, em.missing, em.keys) == (None, 0, 3, ())
    assert (table.runs, table.missing) == (6, 4)
    assert table.caption.endswith("4 of 6 runs missing, 1 of them failed.")


def test_a_run_that_failed_and_then_succeeded_is_not_missing() -> None:
    failed = record(status="failed", reason="killed", key="first")
    table = build([record(test_acc=60.0, key="second"), failed], TableLayout())
    assert table.missing == 0
    assert "missing" not in table.caption


def test_an_experiment_that_has_not_started_is_a_table_of_gaps() -> None:
    planned = [CellId.of(record(method=m, seed=s)) for m in ("none", "sep") for s in range(2)]
    table = build([], TableLayout(), expected=planned, experiment="small")
    assert table.experiment == "small"
    assert [cell.mean for cell in table.distinct_cells()] == [None, None]
    assert table.caption == "4 of 4 runs missing."


def test_a_combination_nobody_planned_is_a_gap_with_its_own_identity() -> None:
    records = [
        record(test_acc=9.0),
        record(method="em", budget=2.0, test_acc=20.0),
        record(method="none", test_acc=95.0),
        record(defense="jpeg-10", test_acc=80.0),
    ]
    table = build(records, TableLayout())
    gap = cell_at(table, "em", "linf-8 jpeg-10")
    assert (gap.method, gap["budget"], gap["defense"], gap.n, gap.mean) == ("em", ("linf", 8.0), "jpeg-10", 0, None)
    assert cell_at(table, "none", "linf-8 jpeg-10")["budget"] is None
    identities = [(c.method, c["budget"], c["defense"]) for c in table.distinct_cells()]
    assert len(identities) == len(set(identities))


def test_of_two_measurements_of_one_run_the_latest_counts() -> None:
    older = record(test_acc=50.0, key="old", started="2024-05-01T12:00:00+00:00")
    newer = record(test_acc=60.0, key="new", started="2024-06-01T12:00:00+00:00")
    for records in ([older, newer], [newer, older]):
        table = build(records, TableLayout())
        assert table.cells[0][0].keys == ("new",)
        assert table.notes == ("1 older record of runs that were measured again left out.",)


def test_the_same_record_twice_is_one() -> None:
    table = build([record(test_acc=50.0), record(test_acc=50.0)], TableLayout())
    assert (table.cells[0][0].n, table.notes) == (1, ())


def test_victims_of_sets_that_share_a_key_and_not_their_bytes_are_told_of() -> None:
    def table(*digests: str | None) -> Table:
        made = [record(seed=seed, test_acc=50.0, protected_sha256=one) for seed, one in enumerate(digests)]
        return build(
            [*made, record(method="em", protected_key="other", protected_sha256="9" * 64, test_acc=50.0)], TableLayout()
        )

    (note,) = table("1" * 64, "2" * 64, "2" * 64).notes
    assert note.startswith("Victims of sep had one protected set by its key and several by its bytes, as when ")
    assert table("1" * 64, "1" * 64, None).notes == ()  # old records do not tell


@pytest.mark.parametrize(
    ("machines", "told"),
    [
        (("Some 486", "Some GPU", "Some 486"), "crafted on Some 486 and on Some GPU."),
        (("Some 486", "Some 486", "Some 486"), "as when it is crafted again on another processor."),
        (("Some 486", None, "Some GPU"), "as when it is crafted again on another processor."),
    ],
)
def test_where_sets_of_one_key_were_crafted_is_told_as_far_as_all_records_tell(
    machines: tuple[str | None, ...], told: str
) -> None:
    made = [
        record(seed=seed, test_acc=50.0, protected_sha256=f"{seed % 2}" * 64, crafted_on=machine)
        for seed, machine in enumerate(machines)
    ]
    (note,) = build(made, TableLayout()).notes
    assert note == f"Victims of sep had one protected set by its key and several by its bytes, {told}"


def test_a_value_that_was_not_recorded_is_not_a_missing_run() -> None:
    records = [*runs([31.0, 31.0], "psnr"), record(method="none", psnr=None)]
    table = build(records, TableLayout(value="psnr"))
    assert [row[0].mean for row in table.cells] == [None, 31.0]
    assert table.missing == 0
    assert table.notes == ("1 of 3 finished runs have no psnr.",)


@pytest.mark.parametrize(
    ("records", "caption"),
    [
        ([(0, 0)], "n = 1 victim seed."),
        ([(0, 0), (0, 1)], "n = 2 victim seeds; mean ± 95 % half-width (Student t)."),
        ([(0, 0), (1, 0)], "n = 2 crafting replicates; mean ± 95 % half-width (Student t)."),
        (
            [(0, 0), (0, 1), (1, 0), (1, 1)],
            "n = 2 crafting replicates (victims averaged within each); mean ± 95 % half-width (Student t).",
        ),
    ],
)
def test_the_caption_says_what_n_counts(records: list[tuple[int, int]], caption: str) -> None:
    table = build([record(craft_seed=c, seed=s, test_acc=60.0 + s) for c, s in records], TableLayout())
    assert table.caption == caption


def test_two_ways_of_counting_are_both_explained() -> None:
    records = [*runs([95.0, 94.0], method="none"), *runs([9.0, 8.0]), *runs([7.0, 6.0], craft_seed=1)]
    assert build(records, TableLayout()).caption.startswith(
        "n = 2 victim seeds, or crafting replicates (victims averaged within each) where there are several;"
    )


def test_a_record_and_its_plan_have_one_identity() -> None:
    a = record(method_params={"steps": 30, "checkpoints": 3})
    b = record(method_params={"checkpoints": 3, "steps": 30}, key="other", test_acc=3.0)
    assert CellId.of(a) == CellId.of(b)
    assert CellId.of(a).method_params == '{"checkpoints":3,"steps":30}'
