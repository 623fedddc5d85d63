"""Figures as files, and words that do not cover each other."""

import re
from itertools import pairwise
from pathlib import Path

import matplotlib
import pytest
from matplotlib.text import Text
from PIL import Image

from bench.read.plots import (
    ablation,
    bars,
    save,
    svgs,
)
from bench.read.plots.labels import spread
from bench.read.plots.style import theme
from tests.making.records import checkpoint_table


def written(folder: Path, name: str) -> bytes:
    path = folder / name
    save(ablation(checkpoint_table(), "title"), path)
    return path.read_bytes()


def test_the_same_records_give_the_same_svg_to_the_byte(tmp_path: Path) -> None:
    first = written(tmp_path, "a.svg")
    assert first == written(tmp_path, "b.svg")
    assert b"<dc:date>" not in first
    assert not re.search(rb"\d{4}-\d\d-\d\dT", first)


def test_a_users_matplotlib_settings_change_nothing(tmp_path: Path) -> None:
    first = written(tmp_path, "a.svg")
    with matplotlib.rc_context({"font.size": 20, "lines.linewidth": 9, "svg.fonttype": "none", "axes.grid": False}):
        assert written(tmp_path, "b.svg") == first


def test_what_there_is_not_enough_for_is_left_out_and_the_rest_is_what_files_hold(tmp_path: Path) -> None:
    drawn = svgs(checkpoint_table(), [], "title")  # without records nobody knows what crafting takes
    assert set(drawn) == {"ablation", "bars"}
    assert drawn["ablation"].encode() == written(tmp_path, "a.svg")


def test_a_png_has_200_dots_an_inch_and_does_not_say_who_made_it(tmp_path: Path) -> None:
    first = written(tmp_path, "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.info["dpi"] == pytest.approx((200, 200), abs=0.1)
        assert set(image.info) == {"dpi"}
    assert first == written(tmp_path, "b.png")


def test_a_figure_leaves_the_settings_of_the_process_alone() -> None:
    before = dict(matplotlib.rcParams)
    with theme():
        pass
    bars(checkpoint_table())
    assert dict(matplotlib.rcParams) == before


def test_texts_beside_the_axes_do_not_cover_each_other() -> None:
    figure = ablation(checkpoint_table())
    names = {"none (clean)", "random-noise", "sep (3 missing)"}
    boxes = [text.get_window_extent() for text in figure.findobj(Text) if text.get_text() in names]
    assert len(boxes) == 3
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])


@pytest.mark.parametrize("places", [[0.0, 1.0, 2.0, 30.0], [5.0], [], [10.0, 10.0, 10.0], [0.0, 20.0, 40.0]])
def test_spread_places_keep_their_distance_order_and_middle(places: list[float]) -> None:
    moved = spread(places, 10.0)
    assert all(after - before >= 10 - 1e-9 for before, after in pairwise(moved))
    assert sum(moved) == pytest.approx(sum(places))


def test_places_apart_stay_where_they_are() -> None:
    assert spread([0.0, 20.0, 40.0], 10.0) == [0, 20, 40]


def test_spread_places_stay_inside() -> None:
    assert spread([1.0, 2.0, 3.0], 10.0, 0, 100) == [0, 10, 20]
    assert spread([60.0, 99.0, 99.5], 10.0, 0, 100) == [60, 90, 100]
