"""The table as bars."""

import math

import pytest
from matplotlib.colors import to_rgb
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text

from bench.core.errors import SepbenchError
from bench.read.plots import bars
from bench.read.tables import build
from bench.record.record import Record
from bench.spec.layout import TableLayout
from tests.making.figures import bar_groups, words
from tests.making.records import checkpoint_table, runs, sep


def lengths(container: BarContainer) -> list[float]:
    return [float(patch.get_width()) for patch in container.patches]


def test_bars_are_as_long_as_the_means_with_the_half_widths_at_their_ends() -> None:
    table = build(
        [
            *runs([90.0, 92.0], method="none"),
            *runs([30.0, 34.0], budget=4.0),
            *runs([10.0, 14.0], budget=8.0),
            *runs([50.0, 56.0], method="em", budget=4.0),
            *runs([40.0, 41.0], method="em", budget=8.0),
        ],
        TableLayout(),
    )
    figure = bars(table)
    groups = bar_groups(figure.axes[0])
    for column, header in enumerate(table.columns):
        cells = [row[column] for row in table.cells if row[0].method != "none"]
        container = groups[header[0]]
        assert lengths(container) == [cell.mean for cell in cells]
        assert container.errorbar is not None
        drawn = [(segment[1][0] - segment[0][0]) / 2 for segment in container.errorbar[2][0].get_segments()]
        assert drawn == pytest.approx([cell.half_width for cell in cells])
    assert lengths(groups["_reference"]) == [91.0], "the reference stands once for all budgets"
    assert 91.0 in [line.get_xdata()[0] for line in figure.axes[0].lines if len(line.get_xdata()) == 2]  # type: ignore[arg-type, index]
    assert {"linf-4", "linf-8", "none", "sep", "em"} <= words(figure)


def footnote(figure: Figure) -> str:
    return str(figure._supxlabel.get_text()).replace("\n", " ")  # type: ignore[attr-defined]


def test_a_missing_cell_is_a_gap_that_says_so() -> None:
    figure = bars(build([*runs([10.0]), *runs([None], defense="jpeg-10"), *runs([20.0], method="em")], TableLayout()))
    container = bar_groups(figure.axes[0])["jpeg-10"]
    missing = [math.isnan(length) for length in lengths(container)]
    assert missing.count(True) == 1
    assert 0.0 not in lengths(container)
    assert "missing" in words(figure)


def test_a_row_without_any_number_is_named_and_not_drawn() -> None:
    figure = bars(checkpoint_table())
    assert "missing" not in words(figure)
    assert "sep (checkpoints=3)" not in words(figure)
    assert {"sep (checkpoints=1)", "sep (checkpoints=15)"} <= words(figure)
    assert "Not drawn, as nothing of them is measured: sep (checkpoints=3)." in footnote(figure)


def test_outer_labels_of_rows_without_numbers_are_named_once() -> None:
    missing = [*runs([None], method="em"), *runs([None], method="tap"), *runs([None], method="ar", budget=2.0)]
    figure = bars(build([*runs([10.0]), *missing], TableLayout(rows=["budget", "method"], columns=["defense"])))
    assert "measured: linf-2 · ar; linf-8 · em, tap." in footnote(figure)


def test_chance_is_a_line_that_the_legend_names() -> None:
    figure = bars(checkpoint_table(), chances={"digits": 10.0})
    (line,) = [line for line in figure.axes[0].lines if line.get_label() == "guessing"]
    assert list(line.get_xdata()) == [10.0, 10.0]  # type: ignore[arg-type]
    assert "guessing" in words(figure)


def test_data_sets_of_different_chance_have_no_line_in_common() -> None:
    table = build([*runs([10.0]), *runs([20.0], dataset="other")], TableLayout(rows=["dataset", "method"]))
    figure = bars(table, chances={"digits": 10.0, "other": 1.0})
    assert "guessing" not in [line.get_label() for line in figure.axes[0].lines]


def test_very_many_bars_are_a_facet_for_each_column_with_all_rows_in_each() -> None:
    defenses = ["plain", "jpeg-10", "adversarial-training:radius=8,steps=3"]
    names = [f"m{i:02}" for i in range(16)]
    records = [one for name in names for defense in defenses for one in runs([10.0], method=name, defense=defense)]
    figure = bars(build(records, TableLayout()))
    assert [axes.get_title() for axes in figure.axes] == ["plain", "jpeg-10", "adversarial training, radius 8, 3 steps"]
    assert [len(lengths(one)) for axes in figure.axes for one in bar_groups(axes).values()] == [16, 16, 16]
    assert figure.get_figheight() < 8


def test_a_bar_of_some_of_its_runs_says_how_many() -> None:
    assert "1 of 3" in words(bars(build(sep(1, [40.0, None, None]), TableLayout())))


def test_a_cell_that_the_experiment_lacks_takes_no_room() -> None:
    table = build([*runs([30.0]), *runs([20.0], method="ar", norm="l2", budget=1.0)], TableLayout())
    figure = bars(table)
    assert {label: lengths(one) for label, one in bar_groups(figure.axes[0]).items()} == {"linf-8": [30], "l2-1": [20]}
    assert "missing" not in words(figure)


def test_columns_are_told_apart_without_colour() -> None:
    table = build([one for size in (2.0, 4.0, 8.0) for one in runs([30.0], budget=size)], TableLayout())
    hatches = [one.patches[0].get_hatch() for one in bar_groups(bars(table).axes[0]).values() if one.patches]
    assert len(set(hatches)) == 3


def test_nothing_measured_is_nothing_to_draw() -> None:
    with pytest.raises(SepbenchError, match="no finished run of small"):
        bars(build(sep(1, [None]), TableLayout()))


def test_letters_are_legible_and_title_and_footnote_are_there() -> None:
    figure = bars(checkpoint_table(), "A title")
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text()]
    assert min(float(text.get_fontsize()) for text in texts) >= 8
    assert "A title" in words(figure)
    footnote = figure._supxlabel.get_text().replace("\n", " ")  # type: ignore[attr-defined]
    assert "n = 2 victim seeds" in footnote
    assert "95 % half-width" in footnote


def of_two_victims() -> list[Record]:
    return [
        record
        for victim, shift in (("resnet8", 0.0), ("vgg7", 5.0))
        for method, mean in (("none", 80.0), ("sep", 10.0), ("em", 20.0))
        for record in runs([mean + shift, mean + shift + 1], method=method, victim=victim)
    ]


def test_methods_in_columns_all_have_a_bar_and_the_reference_is_grey() -> None:
    records = [one for one in of_two_victims() if one.victim == "resnet8"]
    figure = bars(build(records, TableLayout(rows="defense", columns=["method"])))
    groups = bar_groups(figure.axes[0])
    assert {label: lengths(one) for label, one in groups.items()} == {"none": [80.5], "sep": [10.5], "em": [20.5]}
    red, green, blue = to_rgb(groups["none"].patches[0].get_facecolor())
    assert red == green == blue
    assert {"none", "sep", "em"} <= words(figure), "the legend names the columns"


def test_labels_on_two_axes_make_a_facet_for_each_outer_one() -> None:
    figure = bars(build(of_two_victims(), TableLayout(rows="defense", columns=["victim", "method"])))
    assert [axes.get_title() for axes in figure.axes] == ["resnet8", "vgg7"]
    for axes, shift in zip(figure.axes, (0.0, 5.0), strict=True):
        found = {label: lengths(one) for label, one in bar_groups(axes).items()}
        assert found == {"none": [80.5 + shift], "sep": [10.5 + shift], "em": [20.5 + shift]}
