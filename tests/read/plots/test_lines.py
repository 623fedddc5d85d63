"""The ablation and the cost of protection: points, intervals, references, gaps."""

import math
import re
from collections.abc import Sequence

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.text import Text

from bench.core.errors import SepbenchError
from bench.core.keys import canonical
from bench.read.plots import ablation, passes
from bench.read.plots.passes import FRONT, pareto_front
from bench.read.tables import build
from bench.record.record import Record
from bench.spec.layout import TableLayout
from tests.making.figures import cell, errorbars, spans, words
from tests.making.records import checkpoint_table, runs, sep


def params(checkpoints: int) -> str:
    return canonical({"checkpoints": checkpoints, "steps": 10})


def front(axes: Axes) -> list[tuple[float, float]]:
    """Return the corners of the step of the best values within a cost."""
    (line,) = [line for line in axes.lines if line.get_label() == FRONT]
    return [(float(x), float(y)) for x, y in np.asarray(line.get_xydata())]


def level(axes: Axes, label: str) -> float:
    (line,) = [line for line in axes.lines if line.get_label() == label]
    return float(np.asarray(line.get_ydata())[0])


def test_a_line_holds_the_means_and_half_widths_of_its_cells_and_a_gap_for_a_missing_one() -> None:
    table = checkpoint_table()
    line = errorbars(ablation(table).axes[0])["sep"]
    assert list(line[0].get_xdata()) == [1, 3, 15]
    y = list(line[0].get_ydata())
    assert (y[0], y[2]) == (42.0, 23.0)
    assert math.isnan(y[1])
    for checkpoints, (low, high) in zip((1, 15), spans(line), strict=True):
        half = cell(table, "sep", method_params=params(checkpoints)).half_width
        assert half is not None
        assert math.isclose((high - low) / 2, half)


def test_what_is_missing_is_named_and_marked_on_the_axis() -> None:
    figure = ablation(checkpoint_table())
    assert "sep (3 missing)" in words(figure)
    (cross,) = [line for line in figure.axes[0].lines if line.get_label() == "_missing sep"]
    assert list(np.asarray(cross.get_xdata())) == [3]


def test_a_cell_that_lacks_runs_says_how_many_it_has() -> None:
    table = checkpoint_table(*sep(30, [10.0, None, 12.0]))
    assert "2 of 3" in words(ablation(table))


def test_references_are_levels_with_the_interval_as_a_band() -> None:
    table = checkpoint_table()
    axes = ablation(table).axes[0]
    assert level(axes, "none") == 91.0
    assert level(axes, "random-noise") == 89.5
    half = cell(table, "none").half_width
    assert half is not None
    bands = [patch.get_path().get_extents(patch.get_patch_transform()) for patch in axes.patches]
    assert any(math.isclose(band.y0, 91 - half) and math.isclose(band.height, 2 * half) for band in bands)


@pytest.mark.parametrize(("values", "scale"), [((1, 3, 15), "log"), ((1, 2, 3), "linear"), ((0, 5, 50), "linear")])
def test_the_axis_is_logarithmic_where_values_span_a_lot(values: tuple[int, ...], scale: str) -> None:
    table = build([one for value in values for one in sep(value, [30.0, 31.0])], TableLayout())
    assert ablation(table).axes[0].get_xscale() == scale


def test_the_axis_spreads_over_the_lines_and_the_clean_level_stands_beyond_a_break() -> None:
    records = [*runs([90.0, 90.2], method="none"), *(one for n in (1, 3, 15) for one in sep(n, [10.0 + n, 11.0 + n]))]
    axes = ablation(build(records, TableLayout()), chances={"digits": 10.0}).axes[0]
    bottom, top = axes.get_window_extent().intervaly

    def up(value: float) -> float:
        return float((axes.transData.transform((1, value))[1] - bottom) / (top - bottom))

    assert up(26) - up(11) > 0.3, "the lines have room"
    assert up(11) < up(26) < up(60) < up(90) < 1, "and what is higher stands higher"
    assert up(90) - up(60) < 0.2
    assert 90.1 in axes.get_yticks()
    assert [line.get_label() for line in axes.lines].count("_break") == 2
    assert level(axes, "guessing") == 10


def test_levels_near_the_lines_need_no_break() -> None:
    records = [*runs([50.0], method="none"), *(one for n in (1, 3, 15) for one in sep(n, [10.0 + 2 * n]))]
    axes = ablation(build(records, TableLayout())).axes[0]
    assert "_break" not in [line.get_label() for line in axes.lines]
    low, high = axes.get_ylim()
    assert low == 0
    assert 50 < high < 60


def test_the_clean_level_and_guessing_have_a_word_each() -> None:
    figure = ablation(checkpoint_table(), chances={"digits": 10.0})
    assert {"none (clean)", "guessing"} <= words(figure)


def test_every_budget_has_its_panel_with_the_clean_reference() -> None:
    records = [*runs([90.0], method="none")]
    for budget in (4.0, 8.0):
        for checkpoints, mean in ((1, 40.0), (2, 30.0), (3, 20.0)):
            records += sep(checkpoints, [mean + budget], budget=budget)
    first, second = ablation(build(records, TableLayout())).axes
    assert [axes.get_title() for axes in (first, second)] == ["linf-4", "linf-8"]
    assert [list(errorbars(axes)["sep"][0].get_ydata()) for axes in (first, second)] == [[44, 34, 24], [48, 38, 28]]
    assert level(first, "none") == level(second, "none") == 90


def test_every_norm_has_a_panel_named_as_its_track() -> None:
    records = [*runs([90.0], method="none")]
    for norm, budget in (("linf", 8.0), ("l0", 4.0), ("unbounded", None)):
        for checkpoints in (1, 2, 3):
            records += sep(checkpoints, [40.0], norm=norm, budget=budget)
    figure = ablation(build(records, TableLayout()))
    assert [axes.get_title() for axes in figure.axes] == ["linf-8", "l0-4", "unbounded"]
    assert [level(axes, "none") for axes in figure.axes] == [90, 90, 90]


def test_shares_and_further_clean_images_title_their_panels() -> None:
    records = [
        one
        for share, clean in ((0.5, 0), (1.0, 0), (1.0, 100))
        for steps in (1, 2, 3)
        for one in sep(steps, [40.0], protected_fraction=share, clean_images=clean)
    ]
    figure = ablation(build(records, TableLayout(columns=["protected_fraction", "clean_images"])))
    assert [axes.get_title() for axes in figure.axes] == [
        "protected fraction 50 % · no clean images",
        "protected fraction 100 % · no clean images",
        "protected fraction 100 % · 100 clean images",
    ]


def test_a_second_parameter_makes_a_line_for_each_value() -> None:
    records = [
        one
        for checkpoints in (1, 2, 4)
        for steps in (5, 10)
        for one in runs([50.0 - checkpoints - steps], method_params={"checkpoints": checkpoints, "steps": steps})
    ]
    lines = errorbars(ablation(build(records, TableLayout())).axes[0])
    assert {label: list(line[0].get_ydata()) for label, line in lines.items()} == {
        "sep, steps=5": [44, 43, 41],
        "sep, steps=10": [39, 38, 36],
    }


def test_an_ablation_needs_a_number_that_has_three_values_within_a_method() -> None:
    two = [one for steps in (3, 4) for one in runs([1.0], method_params={"steps": steps})]
    table = build([*two, *runs([2.0], method="em", method_params={"steps": 5})], TableLayout())
    with pytest.raises(SepbenchError, match="no numeric parameter of a method has 3 values in small"):
        ablation(table)


def test_a_switch_is_no_number() -> None:
    records = [*runs([1.0], method_params={"augment": True}), *runs([2.0], method_params={"augment": False})]
    with pytest.raises(SepbenchError, match="no numeric parameter"):
        ablation(build(records, TableLayout()))


def test_points_stand_at_the_passes_of_their_setting_on_a_logarithmic_axis() -> None:
    spent = {("none", "{}"): 0.0, ("random-noise", "{}"): 0.0} | {("sep", params(n)): 10.0 * n for n in (1, 3, 5, 15)}
    figure = passes(checkpoint_table(*sep(5, [30.0, 34.0])), spent)
    axes = figure.axes[0]
    points = errorbars(axes)["sep"]
    assert axes.get_xscale() == "log"
    assert list(points[0].get_xdata()) == [10, 50, 150]
    assert list(points[0].get_ydata()) == [42, 32, 23]
    assert level(axes, "none") == 91
    assert {"1", "5", "15", "sep", "none (clean)", "random-noise"} <= words(figure)
    assert "0" not in [label.get_text() for label in axes.get_xticklabels()]
    footnote = figure._supxlabel.get_text().replace("\n", " ")  # type: ignore[attr-defined]
    assert "Beside points: checkpoints." in footnote
    assert "Missing: sep, checkpoints=3." in footnote


def grid(checkpoints: Sequence[int], steps: Sequence[int], step_size: float | None = None) -> list[Record]:
    """Return runs of SEP whose accuracy falls with the passes that they take."""
    return [
        one
        for count in checkpoints
        for number in steps
        for one in runs(
            [60 - 10 * math.log(count * number)],
            method_params={"checkpoints": count, "step_size": step_size, "steps": number},
        )
    ]


def spent_of(records: Sequence[Record]) -> dict[tuple[str, str], float]:
    return {
        (one.method, canonical(one.method_params)): one.method_params["checkpoints"] * one.method_params["steps"]
        for one in records
    }


def test_a_line_joins_settings_that_differ_in_one_parameter_and_no_others() -> None:
    one, several = grid([1, 3, 5], [10]), grid([1, 3], [10, 30])
    for records, drawn in ((one, True), (several, False)):
        (axes,) = passes(build(records, TableLayout()), spent_of(records)).axes
        line = errorbars(axes)["sep"][0]
        assert (line.get_linestyle() != "None") == drawn
        assert line.get_marker() not in ("", "None")


def test_words_beside_points_cover_no_others() -> None:
    records = [*grid([1, 3, 5, 15], [10]), *grid([3, 15], [30]), *grid([1, 3], [3], 3.33), *grid([1, 3], [3])]
    figure = passes(build(records, TableLayout()), spent_of(records))
    boxes = [
        text.get_window_extent() for text in figure.findobj(Text) if re.fullmatch(r"\d+, \S+, \d+", text.get_text())
    ]
    assert len(boxes) == 10
    assert not any(one.overlaps(other) for number, one in enumerate(boxes) for other in boxes[:number])
    assert "15, -, 30" in words(figure)


def test_of_many_points_those_on_the_front_are_told_apart() -> None:
    records = [
        *grid([1, 3, 5, 15], [3, 10, 30]),
        *runs([90.0], method_params={"checkpoints": 5, "step_size": 1, "steps": 3}),
    ]
    figure = passes(build(records, TableLayout()), spent_of(records))
    assert {"15, -, 30", "1, -, 3"} <= words(figure)
    assert "5, 1, 3" not in words(figure)
    footnotes = [text.replace("\n", " ") for text in words(figure)]
    assert any("Beside points on the step: checkpoints, step_size, steps." in text for text in footnotes)


def test_what_takes_no_passes_stands_at_zero_left_of_the_logarithmic_axis() -> None:
    records = [*sep(1, [40.0, 44.0]), *sep(15, [20.0, 26.0]), *runs([30.0, 31.0], method="lsp")]
    spent = {("lsp", "{}"): 0.0, ("sep", params(1)): 10.0, ("sep", params(15)): 150.0}
    (axes,) = passes(build(records, TableLayout()), spent).axes
    (place,) = np.asarray(errorbars(axes)["lsp"][0].get_xdata())
    labels = {
        label.get_text(): float(tick) for tick, label in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
    }
    assert labels["0"] == place < 10 == labels["10"]
    assert axes.get_xlim()[0] < place


def test_a_panel_has_three_different_costs_and_references_are_none() -> None:
    spent = {("none", "{}"): 0.0, ("random-noise", "{}"): 0.0} | {("sep", params(n)): 10.0 * n for n in (1, 3, 15)}
    two = checkpoint_table()  # 3 checkpoints are missing
    with pytest.raises(SepbenchError, match="no 3 finished methods side by side whose crafting passes differ"):
        passes(two, spent)
    further = [*sep(1, [50.0], defense="jpeg-10"), *sep(15, [40.0], defense="jpeg-10")]
    enough = checkpoint_table(*sep(5, [30.0, 34.0]), *further)
    shown = passes(enough, {**spent, ("sep", params(5)): 50.0})
    assert [axes.get_title() for axes in shown.axes] == ["plain"]


def test_of_several_settings_the_one_with_most_costs_is_the_one_panel() -> None:
    spent = {("sep", params(n)): 10.0 * n for n in (1, 3, 5, 15)}
    fewer = [one for n in (1, 3, 5) for one in sep(n, [30.0], defense="jpeg-10")]
    more = [one for n in (1, 3, 5, 15) for one in sep(n, [20.0])]
    figure = passes(build([*fewer, *more], TableLayout()), spent)
    assert [axes.get_title() for axes in figure.axes] == ["plain"]
    assert "those are drawn that most methods have" in figure._supxlabel.get_text().replace("\n", " ")  # type: ignore[attr-defined]


def test_methods_of_one_point_say_in_their_label_how_many_runs_it_has() -> None:
    spent = {(name, canonical({})): cost for name, cost in (("a", 1.0), ("b", 10.0), ("c", 100.0))}
    records = [*runs([40.0, None], method="a"), *runs([30.0, 31.0], method="b"), *runs([20.0, 21.0], method="c")]
    found = words(passes(build(records, TableLayout()), spent))
    assert "a (1 of 2)" in found
    assert "1 of 2" not in found


def test_the_front_has_what_nothing_of_the_same_cost_or_less_beats() -> None:
    points = [(10.0, 30.0), (0.0, 60.0), (5.0, 40.0), (5.0, 35.0), (20.0, 30.0), (30.0, 12.0), (40.0, 13.0)]
    assert pareto_front(points, "lowest") == [(0, 60), (5, 35), (10, 30), (30, 12)]
    assert pareto_front(points, "highest") == [(0, 60)]
    assert pareto_front(points, None) == []


def test_a_grey_step_joins_the_best_within_a_cost() -> None:
    costs = {(name, canonical({})): cost for name, cost in (("a", 1.0), ("b", 10.0), ("c", 100.0))}
    records = [r for name, mean in (("a", 40.0), ("b", 50.0), ("c", 20.0)) for r in runs([mean], method=name)]
    table = build([r.model_copy(update={"method_params": {}}) for r in records], TableLayout())
    (axes,) = passes(table, costs).axes
    assert front(axes) == [(1, 40), (100, 20), (100, 20)]
