"""A table as LaTeX that compiles as it stands, whatever its labels are."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bench.read.tables import (
    CellId,
    Table,
    build,
    latex_document,
    to_latex,
)
from bench.read.tables.latex_tabular import escape
from bench.spec.layout import TableLayout
from tests.making.records import record, runs

NASTY = r"100 % of {a_b} & #1 $x ~ y^2 <z> \emph |"


@pytest.fixture
def table() -> Table:
    """Two budgets by two defenses with a summary, a gap, a lost run, and names that LaTeX must not read as commands."""
    records = [
        *runs([94.6, 94.4, 94.5], method="none"),
        *runs([85.6, 85.4, 85.0], method="none", defense="jpeg_10 & #2"),
        *runs([38.2, 44.9, 41.0], budget=2.0),
        *runs([9.6, 14.2]),
        *runs([81.1, 82.0, 80.5], defense="jpeg_10 & #2"),
        *runs([80.1, 95.0, 60.5], method=NASTY, defense="jpeg_10 & #2"),
    ]
    lost = CellId.of(record(seed=2))
    layout = TableLayout(summary=("mean", "worst"))
    return build(records, layout, expected=[*map(CellId.of, records), lost], experiment="small_one")


def body(latex: str) -> list[list[str]]:
    """Return the cells of the rows between the rules."""
    inner = latex.partition("\\midrule\n")[2].partition("\\bottomrule")[0]
    return [[cell.strip() for cell in re.split(r"(?<!\\)&", line.removesuffix(r" \\"))] for line in inner.splitlines()]


def test_special_letters_are_escaped() -> None:
    assert escape("a_b & 50 % #1 ±") == r"a\_b \& 50 \% \#1 $\pm$"
    assert escape("\\") == r"\textbackslash{}"


def test_numbers_are_aligned_and_the_best_is_bold() -> None:
    records = [*runs([9.0, 10.0, 12.0]), *runs([50.0, 90.0, 70.0], method="em")]
    assert body(to_latex(build(records, TableLayout()))) == [
        ["sep", r"\textbf{10.3}", r"{\scriptsize~$\pm$~\phantom{0}3.8}"],
        ["em", "70.0", r"{\scriptsize~$\pm$~49.7}"],
    ]


def heads(latex: str) -> list[list[str]]:
    """Return the lines of the head of each tabular."""
    return [part.partition("\\midrule\n")[0].splitlines() for part in latex.split("\\toprule\n")[1:]]


def test_outer_labels_span_their_columns() -> None:
    records = [*runs([38.2], budget=2.0), *runs([9.6]), *runs([81.1], defense="jpeg_10 & #2")]
    latex = to_latex(build(records, TableLayout(summary=("mean", "worst"))))
    (head,) = heads(latex)
    assert r"\begin{tabular}{l" + 5 * "r@{}l" + "}" in latex.splitlines()
    assert head[0] == r" & \multicolumn{2}{c}{linf-2} & \multicolumn{8}{c}{linf-8} \\"
    assert head[1] == r"\cmidrule(lr){2-3} \cmidrule(lr){4-11}"
    assert head[2] == " & ".join(
        [
            "method",
            *(rf"\multicolumn{{2}}{{c}}{{{label}}}" for label in ("plain", "plain", r"jpeg\_10 \& \#2", "mean")),
            r"\multicolumn{2}{c}{worst case} \\",
        ]
    )
    assert {len(row) for row in body(latex)} == {11}


def test_columns_that_do_not_fit_stand_in_a_further_block_with_the_names_of_the_rows(table: Table) -> None:
    latex = to_latex(table)
    blocks = heads(latex)
    assert len(blocks) == 2
    leaves = [label for head in blocks for label in re.findall(r"\\multicolumn\{2\}\{c\}\{([^{}]*)\}", head[-1])]
    assert leaves == ["plain", "plain", r"jpeg\_10 \& \#2", "mean", "worst case"]
    assert latex.count("\nsep & ") == 2
    assert latex.count(r"\begin{table*}") == latex.count(r"\caption{") == 1


def test_what_a_column_of_two_has_room_for_is_no_table_across_both() -> None:
    assert r"\begin{table}" in to_latex(build(runs([1.0]), TableLayout()))


def test_a_table_higher_than_a_page_goes_on_in_a_further_float_of_the_same_number() -> None:
    records = [one for i in range(80) for one in runs([50.0 + i / 10], method=f"m{i:02}")]
    latex = to_latex(build(records, TableLayout()))
    assert (
        latex.count(r"\begin{table}") == latex.count(r"\caption{") == latex.count(r"\addtocounter{table}{-1}") + 1 > 1
    )
    assert len(set(re.findall(r"\\label\{(.*?)\}", latex))) == latex.count(r"\label{")
    assert re.findall(r"^m\d\d", latex, re.MULTILINE) == [f"m{i:02}" for i in range(80)]


def test_rows_without_any_number_are_named_below() -> None:
    records = [*runs([10.0]), *runs([None], method="em")]
    latex = to_latex(build(records, TableLayout()))
    assert "\nem & " not in latex
    assert "Not shown, as nothing of them is measured: em." in latex


def test_long_heads_and_names_end_in_several_lines_and_marks_are_short() -> None:
    records = [*runs([10.0, None, 12.0]), *runs([1.0], defense="adversarial-training:radius=8,steps=3")]
    (head,) = heads(to_latex(build(records, TableLayout())))
    assert r"adversarial\\training,\\radius 8,\\3 steps" in head[-1]
    assert "(2/3)" in to_latex(build(records, TableLayout()))


def test_caption_and_label_are_there(table: Table) -> None:
    latex = to_latex(table)
    assert r"\caption{small\_one: test accuracy (\%). Data set digits," in latex
    assert r"\label{tab:small-one-test-acc}" in latex
    assert r"mean $\pm$ 95 \% half-width" in latex
    assert "runs missing" in latex


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.parametrize("columns", [1, 2])
def test_pdflatex_compiles_it_and_nothing_is_too_wide(columns: int, table: Table, tmp_path: Path) -> None:
    many = build([one for i in range(80) for one in runs([50.0 + i / 10], method=f"m{i:02}")], TableLayout())
    tables = [table, many, build(runs([1.0]), TableLayout())]
    (tmp_path / "tables.tex").write_text(latex_document(tables, columns), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "tables.pdf").stat().st_size > 0
    log = (tmp_path / "tables.log").read_text(encoding="latin-1")
    assert "Missing character" not in log
    assert not re.findall(r"Overfull .*|.* too large .*", log)
