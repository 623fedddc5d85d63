"""Protection against cost, as the page draws it."""

import re
from xml.etree import ElementTree

import pytest

from bench.read.leaderboard.cost_plot import cost_plots
from bench.read.leaderboard.label_places import Box, place_labels
from bench.read.leaderboard.matrix import Matrix, matrices_of
from bench.read.leaderboard.rows import rows_of
from tests.making.submissions import submissions


def matrix(costs: dict[str, float]) -> Matrix:
    records = [
        one
        for place, (method, cost) in enumerate(costs.items())
        for one in submissions([10.0 * place + 9, 10.0 * place + 11], method=method, craft_passes=cost)
    ]
    (made,) = matrices_of(rows_of([*records, *submissions([90.0, 92.0], method="none", craft_passes=0.0)]))
    return made


def circles(costs: dict[str, float]) -> list[tuple[float, float]]:
    """Return where the points of the one plot stand, with the lowest accuracy first."""
    found = re.findall(r'<circle class="[\w ]+" cx="([\d.]+)" cy="([\d.]+)"', "\n".join(cost_plots(matrix(costs))))
    return sorted(((float(x), float(y)) for x, y in found), key=lambda one: -one[1])


def test_points_stand_by_decades_and_accuracies_on_a_common_scale() -> None:
    places = circles({"a": 10.0, "b": 100.0, "c": 1000.0})
    (x1, y1), (x2, y2), (x3, y3) = places
    assert x3 - x2 == pytest.approx(x2 - x1, abs=0.11) == pytest.approx(256, abs=1)
    # Accuracies of 10, 20 and 30 on a scale of 100 that is 270 high.
    assert [y1, y2, y3] == pytest.approx([257, 230, 203], abs=0.11)


def test_what_costs_nothing_stands_left_of_the_decades() -> None:
    (free, _), (ten, _), (thousand, _) = circles({"a": 0.0, "b": 10.0, "c": 1000.0})
    assert 40 < free < ten - 20 < thousand
    text = "\n".join(cost_plots(matrix({"a": 0.0, "b": 10.0, "c": 1000.0})))
    assert ">0</text>" in text
    assert 'class="break"' in text


@pytest.mark.parametrize("costs", [{"a": 10.0, "b": 100.0}, {"a": 0.0, "b": 0.0, "c": 50.0}, {"a": 5.0, "b": 5.0}])
def test_fewer_than_three_different_costs_make_no_plot(costs: dict[str, float]) -> None:
    assert cost_plots(matrix(costs)) == []


def test_a_plot_is_a_picture_with_a_description_and_the_clean_level() -> None:
    text = "\n".join(cost_plots(matrix({"a": 0.0, "b": 10.0, "<c>": 1000.0})))
    drawn = ElementTree.fromstring(text)
    (picture,) = drawn.iter("svg")
    assert picture.get("role") == "img"
    assert "against crafting passes" in str(picture.get("aria-label"))
    assert {"a", "b", "<c>", "clean images"} <= {one.text for one in picture.iter("text")}
    assert "style=" not in text, "which the page's policy would not let through"


def test_names_cover_neither_each_other_nor_a_point_where_there_is_room() -> None:
    frame = Box(0, 0, 500, 300)
    crowd = [
        ("class-noise", 60.0, 150.0),
        ("pil", 60.0, 158.0),
        ("single-checkpoint", 75.0, 152.0),
        ("sep", 480.0, 9.0),
    ]
    drawn = [Box(485, 0, 500, 20), Box(68, 145, 130, 160)]
    boxes = place_labels(crowd, frame, drawn)
    assert all(one.shared(other) == 0 for one in boxes for other in drawn)
    points = [Box(x - 4, y - 4, x + 4, y + 4) for _, x, y in crowd]
    assert all(one.shared(other) == 0 for i, one in enumerate(boxes) for other in boxes[:i])
    assert all(one.shared(other) == 0 for one in boxes for other in points)
    assert all(box.shared(frame) == pytest.approx(box.area) for box in boxes)
