"""Published numbers stand beside ours where everything agrees, with their source, and never among ours."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.contracts.defense import DEFENSES
from bench.contracts.method import METHODS
from bench.contracts.normalisation import CONSTANTS
from bench.core.errors import SepbenchError
from bench.engine.recipe import Recipe
from bench.read.agreement import published_parameters
from bench.read.tables import (
    Table,
    build,
    to_html,
    to_json,
    to_latex,
    to_markdown,
)
from bench.record.published import Published, read_published
from bench.record.record import Record
from bench.spec.layout import TableLayout
from tests.making.records import runs

HEAD = "source,dataset,victim,recipe,method,method_params,norm,budget,defense,test_acc,std,n,differs,note\n"


def number(**changes: object) -> Published:
    fields: dict[str, object] = {
        "source": "A paper, table 1",
        "dataset": "digits",
        "victim": "resnet8",
        "recipe": "digits",
        "method": "sep",
        "norm": "linf",
        "budget": 8,
        "defense": "plain",
        "test_acc": 14.68,
        "std": None,
        "n": None,
        "note": None,
    }
    return Published.model_validate(fields | changes)


def beside(table: Table) -> dict[str, list[float]]:
    return {cell.method: [one.test_acc for one in cell.published] for row in table.cells for cell in row}


@pytest.fixture
def records() -> list[Record]:
    return [*runs([94.0, 95.0], method="none"), *runs([15.0, 16.0]), *runs([30.0, 31.0], method="em")]


def test_the_numbers_that_come_with_sepbench_are_read() -> None:
    numbers = read_published()
    (paper,) = (one for one in numbers if one.recipe == "sep-2023-cifar10" and one.method == "none")
    assert (paper.test_acc, paper.norm, paper.budget, paper.defense) == (94.56, None, None, "plain")
    recipes = {"sep-2023-cifar10", "iss-2023", "apbench-2023", "bridgepure-2025", "cuda-2023"}
    assert {one.recipe for one in numbers} == recipes
    assert len(numbers) == 174


def test_a_number_stands_beside_the_cell_that_it_is_of(records: list[Record]) -> None:
    clean = number(method="none", norm=None, budget=None, test_acc=94.56)
    table = build(records, TableLayout(), published=[number(), clean])
    assert beside(table) == {"none": [94.56], "sep": [14.68], "em": []}


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": "cifar10"},
        {"victim": "vgg16"},
        {"recipe": "sep-2023"},
        {"method": "sep-family"},
        {"norm": "l2"},
        {"budget": 2},
        {"defense": "jpeg-10"},
    ],
)
def test_a_number_of_anything_else_does_not(records: list[Record], change: dict[str, object]) -> None:
    table = build(records, TableLayout(), published=[number(**change)])
    assert beside(table) == {"none": [], "sep": [], "em": []}


@pytest.mark.parametrize("change", [{"protected_fraction": 0.6}, {"clean_images": 100}, {"protected_classes": 5}])
def test_a_victim_with_clean_images_has_no_published_number(change: dict[str, Any]) -> None:
    assert beside(build(runs([15.0, 16.0], **change), TableLayout(), published=[number()])) == {"sep": []}


@pytest.mark.parametrize("change", [{"profile": "cpu"}, {"overrides": ("recipe.epochs=5",)}])
def test_changed_experiments_have_nothing_beside_them(change: dict[str, Any]) -> None:
    table = build(runs([15.0, 16.0], **change), TableLayout(), published=[number(), number(method="sep-family")])
    assert (beside(table), table.elsewhere) == ({"sep": []}, ())


def test_accuracies_of_others_stand_beside_no_other_value() -> None:
    records = runs([15.0, 16.0], "peak_acc")
    assert beside(build(records, TableLayout(value="peak_acc"), published=[number()])) == {"sep": []}


def test_a_layout_may_leave_them_out(records: list[Record]) -> None:
    table = build(records, TableLayout(published=False), published=[number(), number(method="sep-family")])
    assert (beside(table), table.elsewhere) == ({"none": [], "sep": [], "em": []}, ())


def test_a_defense_without_its_parameter_is_the_one_with_the_default() -> None:
    records = [*runs([15.0, 16.0], defense="cutout-16"), *runs([17.0, 18.0], defense="cutout-8")]
    table = build(records, TableLayout(), published=[number(defense="cutout")])
    assert [[len(cell.published) for cell in row] for row in table.cells] == [[1, 0]]


def test_a_number_stands_beside_the_parameters_of_the_method_that_it_is_of() -> None:
    records = [*runs([15.0], method_params={"checkpoints": 3}), *runs([16.0], method_params={"checkpoints": 30})]
    numbers = [number(), number(method_params="checkpoints=3", test_acc=20), number(method_params="steps=9")]
    table = build(records, TableLayout(), published=numbers)
    assert [[one.test_acc for one in row[0].published] for row in table.cells] == [[20], [14.68]]
    assert table.elsewhere == (numbers[2],)
    assert "Without a row here: sep (steps=9) linf-8: plain 14.7." in to_markdown(table)


PLACE = {"dataset": "cifar10", "victim": "resnet18"}
TAP = METHODS.get("tap")().params.model_dump(mode="json")


def found(records: list[Record]) -> list[list[float]]:
    """Return the shipped numbers that stand beside each row."""
    return [[one.test_acc for one in row[0].published] for row in build(records, TableLayout()).cells]


def test_the_published_number_of_tap_stands_beside_its_own_settings_alone() -> None:
    setting = {**PLACE, "recipe": "iss-2023", "method": "tap"}
    assert found(runs([15.0], **setting, method_params={**TAP, "steps": 30})) == [[]]
    assert found(runs([15.0], **setting, method_params=TAP)) == [[8.17]]
    assert found(runs([15.0], **setting, method_params={**TAP, "restarts": 1})) == [[]]
    assert found(runs([15.0], **setting, method_params={**TAP, "surrogate": "recipe"})) == [[]]


@pytest.mark.parametrize(
    ("defense", "numbers"),
    [
        ("adversarial-training-8", [79.92]),
        ("adversarial-training-4", []),
        ("adversarial-training:radius=8,steps=3", []),
        ("adversarial-training:radius=8,step_size=1.6", []),
        ("bit-depth-2", [70.75]),
        ("bit-depth:bits=2,rounding=nearest", []),
        ("gaussian-blur:size=3,sigma=0.1", [7.88]),
        ("gaussian-blur-3", []),
        ("cutout-16", [9.88]),
        ("cutout-8", []),
        ("ueraser-max", [79.05]),
        ("ueraser-lite", []),
    ],
)
def test_a_number_stands_beside_the_parameters_of_the_defense_that_it_is_of(defense: str, numbers: list[float]) -> None:
    setting = {**PLACE, "recipe": "apbench-2023", "method": "tap", "defense": defense}
    assert found(runs([15.0], **setting, method_params=TAP)) == [numbers]


def test_every_shipped_number_states_the_parameters_or_says_that_they_are_not_known() -> None:
    for one in read_published():
        published_parameters(one)  # refuses one that the method does not have
        name, _, written = one.defense.partition(":")
        if name in DEFENSES and not one.differs:
            given = {pair.partition("=")[0] for pair in written.split(",") if pair}
            assert given == {*DEFENSES.get(name).Params.model_fields}, one


def test_measured_constants_of_normalisation_are_a_known_difference_and_others_are_another_recipe() -> None:
    def differs(recipe: str) -> list[str | None]:
        table = build(runs([94.0], **PLACE, method="none", recipe=recipe), TableLayout())
        return [one.differs for one in table.cells[0][0].published]

    reason = "the constants of normalisation are fixed there, and measured on the training images here"
    assert differs("sep-2023-cifar10") == [None]
    assert differs("sep-2023") == [reason]
    assert differs("sep-2023-cifar100") == differs("sep-2023[epochs=5]") == differs("fast") == []


@pytest.mark.parametrize(
    ("recipe", "count", "reason"),
    [
        ("apbench-2023", 30, "30 checkpoints do not divide 200 epochs, and are spaced evenly here"),
        ("iss-2023", 30, None),
        ("apbench-2023", 50, None),
    ],
)
def test_checkpoints_that_do_not_divide_the_epochs_are_a_known_difference(
    recipe: str, count: int, reason: str | None
) -> None:
    records = runs([4.0], **PLACE, recipe=recipe, method_params={"checkpoints": count})
    one = number(**PLACE, recipe=recipe, method_params=f"checkpoints={count}")
    ((cell,),) = build(records, TableLayout(), published=[one]).cells
    assert [shown.differs for shown in cell.published] == [reason]


def test_the_recipes_of_the_paper_differ_in_the_constants_of_normalisation_alone() -> None:
    measured = Recipe.model_validate("sep-2023").training_fields()
    for name in ("cifar10", "cifar100"):
        fixed = Recipe.model_validate(f"sep-2023-{name}")
        assert fixed.constants == CONSTANTS[name]
        assert {**fixed.training_fields(), "normalisation": None} == {**measured, "normalisation": None}


def test_what_is_known_to_differ_is_marked_with_its_reason(records: list[Record]) -> None:
    reason = "mixes each image by a draw of its own"
    numbers = [number(differs=reason, std=0.66, n=5), number(source="Another", test_acc=16)]
    table = build(records, TableLayout(), published=numbers)
    lines = to_markdown(table).splitlines()
    assert "14.7† (sd 0.7) [1], 16.0 [2] |" in lines[5]
    assert lines[-2:] == [f"[1] A paper, table 1 (n = 5; † not as here: {reason}).", "[2] Another."]
    assert r"\textsl{14.7$\dagger$ (sd 0.7) {[}1], 16.0 {[}2]}" in to_latex(table)
    assert rf"(n = 5; $\dagger$ not as here: {reason})" in to_latex(table)
    assert '<td class="published">14.7† (sd 0.7) [1], 16.0 [2]</td>' in to_html(table)
    published = next(cell["published"] for cell in json.loads(to_json(table))["cells"] if cell["published"])
    assert [one["differs"] for one in published] == [reason, None]


def test_markdown_has_a_column_for_them_and_a_note_for_each_source(records: list[Record]) -> None:
    numbers = [
        number(),
        number(source="Another, table 2", std=0.66, n=5, note="40,000 training images"),
        number(method="sep-family", test_acc=3.84),
        number(method="sep-family", test_acc=3.96, source="Elsewhere"),
    ]
    text = to_markdown(build(records, TableLayout(), published=numbers))
    lines = text.splitlines()
    assert lines[2] == "| method | test accuracy (%) |                   published |"
    assert lines[5] == "| sep    |    **15.5** ± 6.4 | 14.7 [1], 14.7 (sd 0.7) [2] |"
    assert lines[-3:] == [
        "[1] A paper, table 1. Without a row here: sep-family linf-8: plain 3.8.",
        "[2] Another, table 2 (n = 5; 40,000 training images).",
        "[3] Elsewhere. Without a row here: sep-family linf-8: plain 4.0.",
    ]


def test_no_published_number_means_no_column(records: list[Record]) -> None:
    text = to_markdown(build(records, TableLayout(), published=[number(budget=2)]))
    assert "published" not in text


def test_the_clean_reference_alone_has_one_published_column() -> None:
    records = [*runs([94.0], method="none"), *runs([15.0]), *runs([16.0], budget=2.0)]
    clean = number(method="none", norm=None, budget=None, test_acc=94.56)
    head = to_markdown(build(records, TableLayout(), published=[clean])).splitlines()[2]
    assert [label.strip() for label in head.split("|")[2:-1]] == ["linf-2", "published", "linf-8"]
    beside_sep = to_markdown(build(records, TableLayout(), published=[clean, number()])).splitlines()[2]
    assert [label.strip() for label in beside_sep.split("|")[2:-1]] == ["linf-2", "linf-8", "published"]


def test_json_keeps_them_apart(records: list[Record]) -> None:
    table = build(records, TableLayout(), published=[number(std=0.5, n=5, note="a note")])
    clean, sep, em = json.loads(to_json(table))["cells"]
    told = {"source": "A paper, table 1", "test_acc": 14.68, "std": 0.5, "n": 5, "differs": None, "note": "a note"}
    assert sep["published"] == [told]
    assert (sep["mean"], sep["n"]) == (15.5, 2)
    assert clean["published"] is em["published"] is None


@pytest.mark.parametrize("track", [{"norm": "l0", "budget": 1.0}, {"norm": "unbounded", "budget": None}])
def test_every_norm_has_its_published_numbers(track: dict[str, Any]) -> None:
    records = [*runs([94.0], method="none"), *runs([15.0], method="ops", **track), *runs([16.0])]
    same, other = number(method="ops", **track), number(method="other", **track)
    table = build(records, TableLayout(), published=[same, other])
    assert [cell.method for row in table.cells for cell in row if cell.published] == ["ops"]
    assert table.elsewhere == (other,)
    name = "l0-1" if track["budget"] else "unbounded"
    assert f"Without a row here: other {name}: plain 14.7." in to_markdown(table)


def test_latex_and_html_tell_them_from_ours(records: list[Record]) -> None:
    table = build(records, TableLayout(), published=[number()])
    assert r"& \textsl{14.7 {[}1]} \\" in to_latex(table)
    assert r"\footnotesize {[}1] A paper, table 1." in to_latex(table)
    assert '<td class="published">14.7 [1]</td>' in to_html(table)
    assert "<p>[1] A paper, table 1.</p>" in to_html(table)


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("S,d,v,r,m,,linf,8,plain,101,,,,", "line 3: test_acc: must be at most 100, not '101'"),
        ("S,d,v,r,m,,linf,8,plain,,,,,", "line 3: test_acc: must be a number, and nothing is given"),
        ("S,d,v,r,m,,linf,8,plain,ninety,,,,", "line 3: test_acc: must be a number, not 'ninety'"),
        ("S,d,v,r,m,,linf,8,plain,nan,,,,", "line 3: test_acc: must be a finite number, not 'nan'"),
        ("S,d,v,r,m,,linf,8,plain,90,-1,,,", "line 3: std: must be at least 0, not '-1'"),
        ("S,d,v,r,m,,linf,8,plain,90,,0,,", "line 3: n: must be at least 1, not '0'"),
        ("S,d,v,r,m,,tv,8,plain,90,,,,", "line 3: norm: must be 'linf', 'l2', 'l0' or 'unbounded', not 'tv'"),
        ("S,d,v,r,m,,linf,,plain,90,,,,", "line 3: norm and budget come together: give both or neither"),
        ("S,d,v,r,m,,,8,plain,90,,,,", "line 3: norm and budget come together: give both or neither"),
        ("S,d,v,r,m,,unbounded,8,plain,90,,,,", "line 3: norm unbounded has no budget: leave that empty"),
        (",d,v,r,m,,linf,8,plain,90,,,,", "line 3: source: must be text, and nothing is given"),
        ("S,d,v,r,m,,linf,8,plain,90,,,", "line 3: has 13 cells where there are 14 columns"),
        ('S,d,v,r,m,,linf,8,plain,90,,,,"a', "line 3: unexpected end of data: repair the line"),
        ("P,d,v,r,m,,linf,8.0,plain,91,,,,", "line 2: P has this number more than once: keep one line"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, answer: str) -> None:
    path = tmp_path / "published.csv"
    path.write_text(f"{HEAD}P,d,v,r,m,,linf,8,plain,90,,,,\n{line}", encoding="utf-8")
    with pytest.raises(SepbenchError) as caught:
        read_published(path)
    assert str(caught.value) == f"{path}: {answer}"


def test_other_columns_are_answered_with_the_right_ones(tmp_path: Path) -> None:
    path = tmp_path / "published.csv"
    path.write_text("source,dataset\n", encoding="utf-8")
    with pytest.raises(SepbenchError) as caught:
        read_published(path)
    assert str(caught.value) == f"{path}: line 1: write the columns {HEAD.strip()}"
