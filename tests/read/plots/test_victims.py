"""Training curves and classes: what victims leave, averaged as in a table."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bench.core.errors import SepbenchError
from bench.engine.judge import best_renaming
from bench.read.plots import Judged, classes, curves
from bench.read.plots.replicates import mean_over_victims
from bench.read.plots.victims import interval_note
from tests.making.figures import bar_groups, words
from tests.making.renaming import best_by_trying


def frame() -> pd.DataFrame:
    columns = ["panel", "method", "label", "note", "measure", "epoch", "mean", "half_width"]
    rows = [
        ("", method, method, note, measure, epoch, start + epoch, half)
        for method, note, start, half in (("none", "", 40.0, 2.0), ("sep", "1 of 3", 10.0, np.nan))
        for measure in ("test_acc", "train_acc")
        for epoch in (1, 2, 3)
    ]
    return pd.DataFrame(rows, columns=columns)


def test_a_curve_holds_the_means_by_epoch() -> None:
    figure = curves(frame(), "title", "foot")
    above, below = figure.axes
    assert (above.get_ylabel(), below.get_ylabel()) == ("Test accuracy (%)", "Training accuracy (%)")
    for axes in (above, below):
        drawn = {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines}  # type: ignore[arg-type]
        assert drawn == {"none": ([1, 2, 3], [41, 42, 43]), "sep": ([1, 2, 3], [11, 12, 13])}
    assert {"none", "sep (1 of 3)", "title", "foot"} <= words(figure)


def test_a_band_is_the_half_width_and_one_run_has_none() -> None:
    bands = [band.get_paths()[0].vertices for band in curves(frame(), "", "").axes[0].collections if band.get_paths()]
    drawn = [np.asarray(corners)[:, 1] for corners in bands]
    assert [(float(y.min()), float(y.max())) for y in drawn if len(y)] == [(39.0, 45.0)]


def test_one_legend_names_the_lines_of_all_panels_and_all_bands_lie_below_them() -> None:
    first = frame()
    figure = curves(pd.concat([first.assign(panel="a"), first.assign(panel="b")]), "", "", {"a": 10.0, "b": 10.0})
    (legend,) = [legend for axes in figure.axes if (legend := axes.get_legend()) is not None]
    assert [text.get_text() for text in legend.get_texts()] == ["none", "sep (1 of 3)", "guessing"]
    for axes in figure.axes:
        lowest = min(line.get_zorder() for line in axes.lines if line.get_label() != "guessing")
        assert all(band.get_zorder() < lowest for band in axes.collections)


def test_chance_is_a_level_of_test_images_alone() -> None:
    above, below = curves(frame(), "", "", {"": 10.0}).axes
    assert [list(line.get_ydata()) for line in above.lines if line.get_label() == "guessing"] == [[10.0, 10.0]]  # type: ignore[arg-type]
    assert "guessing" not in [line.get_label() for line in below.lines]


def test_many_panels_stand_in_several_rows() -> None:
    first = frame()
    figure = curves(pd.concat([first.assign(panel=f"p{i}") for i in range(5)]), "", "")
    assert sorted(axes.get_title() for axes in figure.axes if axes.get_title()) == [f"p{i}" for i in range(5)]
    assert figure.get_figwidth() < 11


def test_no_curves_are_an_error() -> None:
    with pytest.raises(SepbenchError, match="no training curves"):
        curves(frame().iloc[:0], "", "")


def test_victims_of_one_protected_set_are_the_samples() -> None:
    values = [np.array([10.0, 20.0]), np.array([14.0, 20.5]), np.array([15.0, 27.0])]
    mean, half, n = mean_over_victims([("set", one) for one in values])
    error = stats.sem(values, axis=0)
    low, high = stats.t.interval(0.95, 2, loc=np.mean(values, axis=0), scale=error)
    assert n == 3
    assert mean == pytest.approx(np.mean(values, axis=0))
    assert half == pytest.approx((high - low) / 2)


def test_victims_are_averaged_within_each_of_several_protected_sets() -> None:
    mean, half, n = mean_over_victims(
        [("a", np.array([0.0])), ("a", np.array([10.0])), ("a", np.array([20.0])), ("b", np.array([40.0]))]
    )
    assert (mean[0], n) == (25.0, 2)
    assert half[0] == pytest.approx(stats.t.ppf(0.975, 1) * np.std([10, 40], ddof=1) / np.sqrt(2))


def test_a_caption_claims_no_interval_where_there_is_one_victim() -> None:
    assert interval_note({1}, "error bars") == "n = 1."
    assert "n = 3; mean over seeds, error bars are the 95 % half-width" in interval_note({3}, "error bars")
    assert "n = 3 unless marked; mean over seeds" in interval_note({1, 3}, "bands")


def test_one_victim_has_no_interval() -> None:
    mean, half, n = mean_over_victims([("a", np.array([[1.0, 2.0], [3.0, 4.0]]))])
    assert mean.tolist() == [[1, 2], [3, 4]]
    assert np.isnan(half).all()
    assert half.shape == (2, 2)
    assert n == 1


def test_the_best_renaming_is_the_best_of_all() -> None:
    confusion = np.random.default_rng(0).random((5, 5))
    assert tuple(best_renaming(confusion)[1]) == best_by_trying(confusion)


def test_classes_show_accuracies_and_both_matrices() -> None:
    confusion = np.array([[10.0, 80.0, 10.0], [5.0, 25.0, 70.0], [60.0, 20.0, 20.0]])
    judged = Judged("sep", confusion, np.array([1.0, 2.0, 3.0]))
    clean = Judged("none", np.diag([90.0, 91.0, 92.0]), np.full(3, np.nan))
    figure = classes(judged, clean, ["ant", "bee", "cow"], "title", "foot", 33.3)
    left, middle, right = figure.axes[:3]
    bars = bar_groups(left)["sep"]
    assert [patch.get_width() for patch in bars.patches] == [10, 25, 20]
    assert bars.errorbar is not None
    ends = [(segment[1][0] - segment[0][0]) / 2 for segment in bars.errorbar[2][0].get_segments()]
    assert ends == pytest.approx([1, 2, 3])
    assert middle.images[0].get_array().tolist() == confusion.tolist()  # type: ignore[union-attr]
    assert right.images[0].get_array().tolist() == confusion[:, [1, 2, 0]].tolist()  # type: ignore[union-attr]
    assert [label.get_text() for label in right.get_xticklabels()] == ["bee", "cow", "ant"]
    assert {"title: sep", "as trained: 18.3 %", "outputs renamed: 70.0 %", "guessing"} <= words(figure)


def test_a_class_without_test_images_has_no_bar_and_no_share_of_the_mean() -> None:
    confusion = np.array([[10.0, 80.0, 10.0], [5.0, 25.0, 70.0], [np.nan] * 3])
    figure = classes(Judged("sep", confusion, np.zeros(3)), None, ["ant", "bee", "cow"], "title", "foot")
    widths = [patch.get_width() for patch in bar_groups(figure.axes[0])["sep"].patches]
    assert widths[:2] == [10, 25]
    assert np.isnan(widths[2])
    assert {"as trained: 17.5 %", "outputs renamed: 75.0 %"} <= words(figure)


def test_of_some_judged_classes_every_output_may_be_renamed() -> None:
    confusion = np.array([[10.0, 20.0, 70.0], [80.0, 15.0, 5.0]])
    figure = classes(Judged("sep", confusion, np.zeros(2)), None, ["ant", "bee", "cow"], "title", "foot")
    _, middle, right = figure.axes[:3]
    assert middle.images[0].get_array().tolist() == confusion[:, :2].tolist()  # type: ignore[union-attr]
    assert right.images[0].get_array().tolist() == confusion[:, [2, 0]].tolist()  # type: ignore[union-attr]
    assert [label.get_text() for label in right.get_xticklabels()] == ["cow", "ant"]
    assert {"as trained: 12.5 %", "outputs renamed: 75.0 %"} <= words(figure)
