"""Numbers that must not stand in one table never do, and the person is told how to choose."""

import pytest

from bench.core.errors import SepbenchError
from bench.read.tables import CellId, build
from bench.record.record import Record
from bench.spec.layout import TableLayout
from tests.making.records import record


def refusal(records: list[Record], layout: TableLayout | None = None, **options: object) -> str:
    with pytest.raises(SepbenchError) as caught:
        build(records, layout or TableLayout(), **options)  # type: ignore[arg-type]
    return str(caught.value)


def test_two_recipes_are_refused_unless_recipe_is_an_axis() -> None:
    records = [record(test_acc=60.0), record(test_acc=90.0, recipe="sep-2023")]
    assert refusal(records) == (
        "these records come from two recipes (digits, sep-2023): "
        "choose one with --where recipe=digits, or make recipe an axis of the table"
    )
    table = build(records, TableLayout(columns=["recipe"]))
    assert table.columns == (("digits",), ("sep-2023",))


def test_the_choice_that_a_refusal_offers_is_one_that_works() -> None:
    records = [record(test_acc=60.0), record(test_acc=90.0, recipe="sep-2023")]
    (cell,) = build(records, TableLayout(), where={"recipe": "digits"}).distinct_cells()
    assert cell.mean == 60.0


def test_two_data_sets_are_refused_unless_dataset_is_an_axis() -> None:
    records = [record(test_acc=60.0), record(test_acc=90.0, dataset="cifar10", train_sha256="c" * 64)]
    assert "two data sets (digits, cifar10): choose one with --where dataset=digits" in refusal(records)
    assert build(records, TableLayout(columns=["dataset"])).columns == (("digits",), ("cifar10",))


@pytest.mark.parametrize(("field", "part"), [("train_sha256", "training set"), ("test_sha256", "test set")])
def test_one_name_for_two_data_sets_is_noticed_even_where_dataset_is_an_axis(field: str, part: str) -> None:
    records = [record(test_acc=60.0, **{field: "1" * 64}), record(test_acc=90.0, seed=1, **{field: "2" * 64})]
    sentence = refusal(records, TableLayout(columns=["dataset"]))
    assert f"two versions of the {part} of digits (111111111111…, 222222222222…)" in sentence
    assert f"--where {field}={'1' * 64}" in sentence
    (cell,) = build(records, TableLayout(), where={field: "2" * 64}).distinct_cells()
    assert cell.mean == 90.0


def test_a_profile_never_stands_among_the_papers_rows() -> None:
    records = [record(test_acc=60.0), record(test_acc=90.0, seed=1, profile="cpu")]
    assert refusal(records) == (
        "these records come from two profiles (none, cpu): choose one with --where profile=none"
    )
    (cell,) = build(records, TableLayout(), where={"profile": "none"}).distinct_cells()
    assert cell.mean == 60.0


def test_a_profile_does_not_replace_the_papers_row_by_being_newer() -> None:
    paper = record(test_acc=60.0, key="paper")
    quick = record(test_acc=90.0, key="quick", profile="cpu", started="2031-01-01T00:00:00+00:00")
    assert "two profiles" in refusal([paper, quick])


def test_overrides_never_stand_among_the_papers_rows() -> None:
    records = [record(test_acc=60.0), record(test_acc=90.0, seed=1, overrides=("recipe.epochs=5",))]
    assert "two sets of overrides (none, recipe.epochs=5)" in refusal(records)
    (cell,) = build(records, TableLayout(), where={"overrides": "recipe.epochs=5"}).distinct_cells()
    assert cell.mean == 90.0


@pytest.mark.parametrize(
    ("layout", "changes", "sentence"),
    [
        (
            TableLayout(),
            {"victim": "vgg16"},
            "two victims (resnet8, vgg16): choose one with --where victim=resnet8",
        ),
        (TableLayout(columns=["budget"]), {"defense": "jpeg-10"}, "two defenses (plain, jpeg-10)"),
        (TableLayout(columns=["defense"]), {"budget": 2.0}, "two budgets (linf-2, linf-8)"),
        (TableLayout(rows="victim"), {"method": "sep-fa"}, "two methods (sep, sep-fa)"),
        (TableLayout(rows="victim"), {"method_params": {"steps": 3}}, "two settings of one method"),
    ],
)
def test_runs_of_several_settings_are_never_averaged_into_one_number(
    layout: TableLayout, changes: dict[str, object], sentence: str
) -> None:
    assert sentence in refusal([record(test_acc=60.0), record(test_acc=90.0, **changes)], layout)


def test_the_clean_reference_is_no_second_budget() -> None:
    table = build([record(method="none", test_acc=95.0), record(test_acc=60.0)], TableLayout(columns=["defense"]))
    assert [row[0].mean for row in table.cells] == [95.0, 60.0]


def test_failed_runs_of_another_profile_do_not_hinder() -> None:
    failed = record(status="failed", reason="killed", profile="cpu", seed=1)
    assert build([record(test_acc=60.0), failed], TableLayout()).missing == 1


def test_no_records_are_an_answer_and_not_an_empty_table() -> None:
    assert refusal([]) == "there are no records to make a table of: run the experiment first"


def test_a_misspelt_field_is_answered_with_the_right_one() -> None:
    sentence = refusal([record(test_acc=60.0)], where={"recpie": "digits"})
    assert sentence.startswith("unknown record field 'recpie': did you mean recipe")


@pytest.mark.parametrize("text", ["4", "linf-4"])
def test_a_choice_that_nothing_fits_names_what_there_is(text: str) -> None:
    records = [record(test_acc=60.0), record(method="none", test_acc=95.0)]
    assert refusal(records, where={"budget": text}) == f"no record has budget={text}: choose from linf-8, none"


@pytest.mark.parametrize("where", [{"budget": "8"}, {"budget": "linf-8"}, {"norm": "linf"}])
def test_choosing_a_budget_keeps_the_clean_reference(where: dict[str, str]) -> None:
    records = [
        record(method="none", test_acc=95.0),
        record(test_acc=60.0),
        record(test_acc=70.0, norm="l2", budget=1.0),
    ]
    if where == {"norm": "linf"}:
        records.append(record(test_acc=50.0, method="random-noise"))
    table = build(records, TableLayout(), where=where)
    assert table.rows[0] == ("none",)
    assert {cell.norm for cell in table.distinct_cells()} == {None, "linf"}


def test_a_choice_also_limits_what_is_expected() -> None:
    planned = [CellId.of(record(victim=victim)) for victim in ("resnet8", "vgg16")]
    table = build([record(test_acc=60.0)], TableLayout(), expected=planned, where={"victim": "resnet8"})
    assert (table.runs, table.missing) == (1, 0)


@pytest.mark.parametrize(
    "where",
    [{"deterministic": "true"}, {"host_cores": "2"}, {"method_params": '{"steps":3}'}, {"started": "early"}],
)
def test_any_field_can_be_chosen_by_its_text(where: dict[str, str]) -> None:
    wanted = record(test_acc=60.0, method_params={"steps": 3}, started="early")
    other = record(test_acc=90.0, method="em", started="late", deterministic=False, host_cores=64, threads=64)
    (cell,) = build([other, wanted], TableLayout(), where=where).distinct_cells()
    assert cell.mean == 60.0
