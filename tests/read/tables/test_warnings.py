"""A table says above its numbers why they may not say what they seem to: a reference that learned nothing."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from bench.read.chance import is_near_chance
from bench.read.tables import build, to_html, to_json, to_latex, to_markdown
from bench.record.record import Record
from bench.spec.layout import TableLayout
from tests.making.records import runs


def judged(values: Sequence[float], classes: int = 10, **changes: Any) -> list[Record]:
    """Make runs that were judged on so many classes."""
    return runs(values, test_acc_per_class=(50.0,) * classes, **changes)


def learning_nothing(**changes: Any) -> list[Record]:
    return [
        *judged([12.0, 12.5, 11.5], method="none", **changes),
        *judged([10.0, 10.1, 10.2], **changes),
        *judged([11.0, 11.4, 11.7], method="em", **changes),
    ]


@pytest.mark.parametrize(
    ("accuracy", "classes", "near"),
    [
        (12.0, 10, True),
        (9.0, 10, True),
        (14.9, 10, True),
        (15.0, 10, False),
        (54.9, 2, True),
        (55.0, 2, False),
        (1.9, 100, True),
        (2.0, 100, False),
    ],
)
def test_near_chance_is_less_than_five_points_or_than_as_much_again_above_it(
    accuracy: float, classes: int, near: bool
) -> None:
    assert is_near_chance(accuracy, classes) is near


@pytest.mark.parametrize(("accuracy", "near"), [(68.0, True), (69.0, False)])
def test_on_few_images_near_chance_is_where_guessing_gets_by_luck(accuracy: float, near: bool) -> None:
    # Of 20 images of two classes guessing gets 50 % right, with a deviation of sqrt(0.25 / 20) = 11.2 points.
    assert is_near_chance(accuracy, 2, images=20) is near
    assert is_near_chance(accuracy, 2, images=10_000) is False
    says = f"none reaches {accuracy:.1f} % on 2 classes, where guessing may get on 20 images (chance: 50 %)"
    warnings = build(judged([accuracy], classes=2, method="none", n_test=20), TableLayout()).warnings
    assert [text.startswith(says) for text in warnings] == [True] * near


def test_a_clean_reference_near_chance_stands_above_the_table_and_nothing_is_bold() -> None:
    table = build(learning_nothing(), TableLayout())
    says = "none reaches 12.0 % on 10 classes, hardly above chance (10 %): what protects cannot be told here."
    assert table.warnings == (says,)
    assert {cell.best for cell in table.distinct_cells()} == {None}
    text = to_markdown(table)
    assert text.index(says) < text.index("| method")
    page = to_html(table)
    assert page.index(f'<p class="warning">{says}</p>') < page.index("<table>")
    assert r"none reaches 12.0 \% on 10 classes" in to_latex(table)
    assert json.loads(to_json(table))["warnings"] == [says]


def test_a_reference_that_learned_gives_no_warning() -> None:
    records = [*judged([90.0, 91.0], method="none"), *judged([10.0, 10.5])]
    table = build(records, TableLayout())
    assert table.warnings == ()
    assert "warnings" not in json.loads(to_json(table))
    assert "\n\n|" in to_markdown(table)


def test_the_settings_that_are_in_doubt_are_told_and_the_others_stay_marked() -> None:
    records = [
        *learning_nothing(defense="jpeg-10"),
        *learning_nothing(defense="cutmix"),
        *judged([90.0, 91.0, 90.5], method="none"),
        *judged([20.0, 21.0, 20.5]),
        *judged([30.0, 31.5, 30.2], method="em"),
    ]
    table = build(records, TableLayout(columns=["defense"], best="ttest"))
    (says,) = table.warnings
    assert says == (
        "With defense jpeg-10, none reaches 12.0 % on 10 classes, hardly above chance (10 %), and so in 1 other "
        "setting: what protects cannot be told there."
    )
    assert [cell.best for cell in table.cells[1]] == [None, None, True]
    assert "Not every column is marked: the clean reference is near chance." in table.notes


def test_a_reference_below_chance_is_not_above_it() -> None:
    table = build(judged([8.0], method="none"), TableLayout())
    assert "reaches 8.0 % on 10 classes, not above chance (10 %)" in table.warnings[0]


def test_a_table_of_something_else_than_accuracies_has_no_reference_to_doubt() -> None:
    records = [one.model_copy(update={"psnr": 30.0}) for one in learning_nothing()]
    assert build(records, TableLayout(value="psnr")).warnings == ()


def test_what_makes_the_numbers_mean_something_else_stands_above_them() -> None:
    data: dict[str, Any] = {
        "classes": ("cat", "dog", "owl"),
        "n_train": 30,
        "train_per_class": (10, 10, 10),
        "test_per_class": (5, 5, 0),
        "n_test_in_train": 2,
    }
    records = [
        *runs([60.0], test_acc_per_class=(60.0, 60.0, None), method="none", **data),
        *runs([53.0], test_acc_per_class=(60.0, 46.0, None), **data),
    ]
    table = build(records, TableLayout())
    assert table.warnings == (
        "1 of the 3 classes of digits has no test images, and so no accuracy: owl.",
        "2 of the 10 test images of digits are training images, too.",
    )
    assert not set(table.warnings) & set(table.notes)
    again = [Record.model_validate_json(record.to_json()) for record in records]
    assert again == records


def test_where_only_some_classes_are_judged_chance_is_that_of_all_that_are_learned() -> None:
    some: dict[str, Any] = {"protected_classes": 2, "test_acc_per_class": (54.0, 54.0), "method": "none"}
    data: dict[str, Any] = {
        "classes": tuple(f"c{i}" for i in range(100)),
        "train_per_class": (5,) * 100,
        "test_per_class": (5, 5),
    }
    assert build(runs([54.0], **some, **data), TableLayout()).warnings == ()
    assert build(runs([54.0], **some), TableLayout()).warnings == ()  # of an earlier version, which does not tell
    assert build(runs([1.5], **some, **data), TableLayout()).warnings == (
        "none reaches 1.5 % on 100 classes, hardly above chance (1 %): what protects cannot be told here.",
    )


def test_of_a_single_class_there_is_no_chance() -> None:
    assert build(runs([98.0], method="none", test_acc_per_class=(98.0, None)), TableLayout()).warnings == ()


def test_a_class_without_test_images_is_no_chance() -> None:
    assert build(runs([54.0], method="none", test_acc_per_class=(54.0, 54.0, None)), TableLayout()).warnings[0] == (
        "none reaches 54.0 % on 2 classes, hardly above chance (50 %): what protects cannot be told here."
    )


def test_records_that_do_not_tell_their_classes_are_not_judged_by_chance() -> None:
    assert build(runs([10.0], method="none"), TableLayout()).warnings == ()
