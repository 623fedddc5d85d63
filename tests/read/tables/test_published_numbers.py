"""Published numbers stand beside ours where everything agrees, with their source, and never among ours."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import SepbenchError
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

HEAD = "source,dataset,victim,recipe,method,norm,budget,defense,test_acc,std,n,note\n"


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
    (paper,) = (one for one in numbers if one.recipe == "sep-2023" and one.method == "none")
    assert (paper.test_acc, paper.norm, paper.budget, paper.defense) == (94.56, None, None, "plain")
    assert {one.recipe for one in numbers} == {"sep-2023", "iss-2023", "apbench-2023", "bridgepure-2025", "cuda-2023"}
    assert len(numbers) == 169


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


def test_a_number_that_fits_two_settings_of_a_method_is_listed_instead() -> None:
    records = [*runs([15.0], method_params={"checkpoints": 3}), *runs([16.0], method_params={"checkpoints": 30})]
    table = build(records, TableLayout(), published=[number()])
    assert beside(table) == {"sep": []}
    assert table.elsewhere == (number(),)


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
    assert sep["published"] == [{"source": "A paper, table 1", "test_acc": 14.68, "std": 0.5, "n": 5, "note": "a note"}]
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
        ("S,d,v,r,m,linf,8,plain,101,,,", "line 3: test_acc: must be at most 100, not '101'"),
        ("S,d,v,r,m,linf,8,plain,,,,", "line 3: test_acc: must be a number, and nothing is given"),
        ("S,d,v,r,m,linf,8,plain,ninety,,,", "line 3: test_acc: must be a number, not 'ninety'"),
        ("S,d,v,r,m,linf,8,plain,nan,,,", "line 3: test_acc: must be a finite number, not 'nan'"),
        ("S,d,v,r,m,linf,8,plain,90,-1,,", "line 3: std: must be at least 0, not '-1'"),
        ("S,d,v,r,m,linf,8,plain,90,,0,", "line 3: n: must be at least 1, not '0'"),
        ("S,d,v,r,m,tv,8,plain,90,,,", "line 3: norm: must be 'linf', 'l2', 'l0' or 'unbounded', not 'tv'"),
        ("S,d,v,r,m,linf,,plain,90,,,", "line 3: norm and budget come together: give both or neither"),
        ("S,d,v,r,m,,8,plain,90,,,", "line 3: norm and budget come together: give both or neither"),
        ("S,d,v,r,m,unbounded,8,plain,90,,,", "line 3: norm unbounded has no budget: leave that empty"),
        (",d,v,r,m,linf,8,plain,90,,,", "line 3: source: must be text, and nothing is given"),
        ("S,d,v,r,m,linf,8,plain,90,,", "line 3: has 11 cells where there are 12 columns"),
        ('S,d,v,r,m,linf,8,plain,90,,,"a', "line 3: unexpected end of data: repair the line"),
        ("P,d,v,r,m,linf,8.0,plain,91,,,", "line 2: P has this number more than once: keep one line"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, answer: str) -> None:
    path = tmp_path / "published.csv"
    path.write_text(f"{HEAD}P,d,v,r,m,linf,8,plain,90,,,\n{line}", encoding="utf-8")
    with pytest.raises(SepbenchError) as caught:
        read_published(path)
    assert str(caught.value) == f"{path}: {answer}"


def test_other_columns_are_answered_with_the_right_ones(tmp_path: Path) -> None:
    path = tmp_path / "published.csv"
    path.write_text("source,dataset\n", encoding="utf-8")
    with pytest.raises(SepbenchError) as caught:
        read_published(path)
    assert str(caught.value) == f"{path}: line 1: write the columns {HEAD.strip()}"
