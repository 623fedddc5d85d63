"""An axis is defined in one place: whatever selects, labels, places or shows iterates over the table of axes."""

import ast
import csv
import io
import json
from pathlib import Path

import pytest

from bench.core.errors import SepbenchError
from bench.core.norms import NORMS
from bench.read.leaderboard.page import render
from bench.read.leaderboard.published_rows import published_rows
from bench.read.leaderboard.rows import rows_of
from bench.read.plots import bars
from bench.read.tables import (
    Table,
    build,
    to_csv,
    to_json,
    to_markdown,
)
from bench.read.tabulation import cell_id
from bench.record.published import Published
from bench.record.record import Record
from bench.spec.axes import (
    AXES,
    SEEDS,
    Axis,
    axes_in_order,
)
from bench.spec.cell import Cell
from bench.spec.experiment import Experiment
from bench.spec.file import load_experiment
from bench.spec.layout import TableLayout
from bench.spec.only import selector
from tests.making.records import runs

HARNESS = Path(__file__).parents[3] / "bench"
DISPLAYING = [
    HARNESS / name for name in ("read/plots", "read/leaderboard", "read/stats", "read/tables", "spec/only.py")
]


@pytest.fixture
def precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the precision of a victim, a field that records have anyway, an axis."""
    monkeypatch.setitem(AXES, "precision", Axis("precision", "precision", "precisions"))


@pytest.fixture
def mostly_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make it an axis that needs no mention where it is float32."""
    monkeypatch.setitem(AXES, "precision", Axis("precision", "precision", "precisions", usual="float32"))


@pytest.fixture
def records() -> list[Record]:
    return [
        *runs([90.0, 91.0], method="none"),
        *runs([10.0, 11.0]),
        *runs([20.0, 21.0], precision="bfloat16", key="a"),
    ]


def by_precision(records: list[Record]) -> Table:
    return build(records, TableLayout(columns=["precision"]))


def page(records: list[Record]) -> dict[str, object]:
    text = render([*rows_of(records), *published_rows([])])
    data: dict[str, object] = json.loads(text.split('id="data">')[1].split("</script>")[0])
    return data


def test_without_the_axis_nothing_knows_it(records: list[Record]) -> None:
    with pytest.raises(ValueError, match="unknown table axis 'precision'"):
        TableLayout(columns=["precision"])
    assert "precision" not in json.loads(to_json(build(records, TableLayout())))["cells"][0]


@pytest.mark.usefixtures("precision")
def test_values_of_a_further_axis_are_never_averaged_unseen(records: list[Record]) -> None:
    with pytest.raises(SepbenchError) as caught:
        build(records, TableLayout())
    assert str(caught.value) == (
        "these records come from two precisions (float32, bfloat16): choose one with --where precision=float32, or "
        "make precision an axis of the table"
    )
    table = build(records, TableLayout(), where={"precision": "bfloat16"})
    assert [cell.mean for (cell,) in table.cells] == [20.5]
    assert table.context.endswith("defense plain, precision bfloat16.")


@pytest.mark.usefixtures("precision")
def test_a_further_axis_makes_columns_or_rows(records: list[Record]) -> None:
    table = by_precision(records)
    assert table.columns == (("float32",), ("bfloat16",))
    assert [[cell.mean for cell in row] for row in table.cells] == [[90.5, None], [10.5, 20.5]]
    rows = build(records, TableLayout(rows=["precision", "method"], columns=[])).rows
    assert rows == (("float32", "none"), ("float32", "sep"), ("bfloat16", "sep"))
    assert to_markdown(table).splitlines()[2].split("|")[2:4] == ["    float32 ", "   bfloat16 "]


@pytest.mark.usefixtures("precision")
def test_programs_read_a_further_axis_too(records: list[Record]) -> None:
    table = by_precision(records)
    values = [cell["precision"] for cell in json.loads(to_json(table))["cells"]]
    assert values == [row["precision"] for row in csv.DictReader(io.StringIO(to_csv(table)))]
    assert set(values) == {"float32", "bfloat16"}


@pytest.mark.usefixtures("precision")
def test_a_further_axis_is_a_column_and_a_filter_of_the_leaderboard(records: list[Record]) -> None:
    data = page(records)
    assert {"name": "precision", "title": "precision", "plural": "precisions"} in data["columns"]  # type: ignore[operator]
    assert "precision" in data["setting"]  # type: ignore[operator]
    rows = {(row["method"], row["precision"]): row for row in data["rows"]}  # type: ignore[attr-defined]
    assert {place: row["mean"] for place, row in rows.items()} == {
        ("none", "float32"): 90.5,
        ("sep", "float32"): 10.5,
        ("sep", "bfloat16"): 20.5,
    }
    assert rows["sep", "float32"]["context"] != rows["sep", "bfloat16"]["context"]


@pytest.mark.usefixtures("precision")
def test_a_published_number_says_nothing_of_an_axis_that_it_lacks() -> None:
    fields = {"source": "P", "dataset": "d", "victim": "v", "recipe": "r", "method": "m", "defense": "plain"}
    number = Published(**fields, norm="linf", budget=8, test_acc=9, std=None, n=None, note=None)
    (row,) = published_rows([number])
    assert row.columns == {"dataset": "d", "victim": "v", "defense": "plain", "recipe": "r", "precision": ""}


@pytest.mark.usefixtures("mostly_float32")
def test_what_is_usual_needs_no_mention_and_the_rest_is_marked(records: list[Record]) -> None:
    assert "precision" not in build(records[:4], TableLayout()).context
    assert build(records[4:], TableLayout()).context.endswith("precision bfloat16.")
    marks = {row.mean: row.marks for row in rows_of(records)}
    assert marks == {90.5: (), 10.5: (), 20.5: ("precision bfloat16",)}
    assert "precision" not in [column["name"] for column in page(records)["columns"]]  # type: ignore[attr-defined]


@pytest.mark.usefixtures("precision")
def test_figures_place_a_further_axis(records: list[Record]) -> None:
    names = {str(one.get_label()) for one in bars(by_precision(records)).axes[0].containers}
    assert {"float32", "bfloat16"} <= names


def test_what_displays_is_looked_at() -> None:
    assert all(path.exists() for path in DISPLAYING)


@pytest.mark.parametrize("path", [path for one in DISPLAYING for path in [one, *one.rglob("*.py")] if path.suffix])
def test_what_only_displays_names_no_axis_that_is_rarely_set_and_no_norm(path: Path) -> None:
    """Those that nearly every run sets are told apart by methods, tracks and published numbers."""
    rare = {field for axis in AXES.values() if axis.usual is not None for field in axis.fields}
    norms = set(NORMS) - set(Record.model_fields)  # the audit has fields that are called as norms are
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    named |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not named & (rare | norms)


def test_the_page_gets_its_axes_from_the_table() -> None:
    rare = [axis.name for axis in AXES.values() if axis.usual is not None]
    assert rare
    for path in (HARNESS / "read" / "leaderboard" / "assets").iterdir():
        text = path.read_text(encoding="utf-8")
        assert not [name for name in rare if name in text], path


def test_every_axis_is_a_field_of_records_and_what_experiments_list_is_one_of_theirs() -> None:
    for name, axis in AXES.items():
        assert axis.name == name
        assert set(axis.fields) <= set(Record.model_fields)
        assert axis.listed is None or axis.listed in Experiment.model_fields
    assert set(SEEDS) <= set(Record.model_fields)
    assert {"budget", "victim", "defense"} <= set(AXES) & set(Cell.__dataclass_fields__)


def test_an_order_puts_some_axes_first_and_drops_none() -> None:
    assert [axis.name for axis in axes_in_order("recipe", "method")][:2] == ["recipe", "method"]
    assert sorted(axis.name for axis in axes_in_order("recipe", "method")) == sorted(AXES)


@pytest.mark.parametrize("name", AXES)
def test_what_is_written_is_what_is_read(name: str, records: list[Record]) -> None:
    axis, fields = AXES[name], dict(records[-1])
    value = axis.read(fields)
    assert axis.write(value) == {field: fields[field] for field in axis.fields}
    assert axis.read({**fields, **axis.write(value)}) == value


def test_an_axis_that_experiments_list_is_chosen_and_placed_without_being_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(AXES, "seed", Axis("seed", "seed", "seeds", listed="seeds"))
    experiment = load_experiment("quickstart", overrides=("seeds=[3, 5]",))
    assert experiment.layout.columns[-1] == "seed"
    cells = experiment.cells()
    chosen = [cell for cell in cells if selector(experiment, [("seed", "5")])(cell)]
    assert {cell.seed for cell in chosen} == {5}
    table = build(
        [], experiment.layout, expected=[cell_id(experiment, cell) for cell in cells], experiment="quickstart"
    )
    assert [header[-1] for header in table.columns] == ["3", "5"]
    assert table.missing == len(cells)
