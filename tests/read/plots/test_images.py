"""Examples and gradient similarities."""

import numpy as np
import pytest
import torch

from bench.core.errors import SepbenchError
from bench.read.diagnostics import Similarity
from bench.read.plots import examples, similarity_heatmap, similarity_heatmaps
from bench.read.plots.examples import difference
from tests.making.figures import words


def images(count: int) -> torch.Tensor:
    return torch.randint(40, 200, (count, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_no_change_is_mid_grey_and_changes_are_amplified_around_it() -> None:
    clean = torch.full((3, 1, 3), 100, dtype=torch.uint8)
    released = clean.clone()
    released[:, 0, 1] += 8
    released[:, 0, 2] -= 8
    assert difference(clean, released, 10)[0].tolist() == [[128] * 3, [208] * 3, [48] * 3]


def test_every_row_has_the_image_as_it_is_protected_and_the_change() -> None:
    clean = images(2)
    protected = {"sep": clean + 8, "random-noise": clean - 4}
    figure = examples(clean, ["ant", "bee"], protected, "title")
    grid = np.array(figure.axes).reshape(2, 5)
    for i, row in enumerate(grid):
        shown = [np.asarray(axes.images[0].get_array()) for axes in row]
        expected = [clean[i], protected["sep"][i], protected["random-noise"][i]]
        for pixels, image in zip((shown[0], shown[1], shown[3]), expected, strict=True):
            assert (pixels == image.permute(1, 2, 0).numpy()).all()
        assert (shown[2] == 128 + 15 * 8).all()
        assert (shown[4] == 128 - 15 * 4).all()
    assert {"ant", "bee", "clean", "sep", "random-noise", "change, 15x"} <= words(figure)


def test_the_distance_of_each_image_stands_below_it() -> None:
    clean = images(1)
    shown = grid_label(examples(clean, ["ant"], {"sep": clean + 8}, ""))
    assert shown.startswith(f"{10 * np.log10(255**2 / 64):.1f} dB · 0.")
    assert grid_label(examples(clean, ["ant"], {"sep": clean}, "")) == "identical · 1.000"


def grid_label(figure: object) -> str:
    return str(figure.axes[1].get_xlabel())  # type: ignore[attr-defined]


def test_nothing_protected_is_nothing_to_show() -> None:
    with pytest.raises(SepbenchError, match="no protected images"):
        examples(images(1), ["ant"], {}, "")


def similarity(off: float, count: int = 3) -> Similarity:
    cosine = [[1.0 if i == j else off for j in range(count)] for i in range(count)]
    return Similarity("surrogate", [f"epoch {i + 1}" for i in range(count)], cosine, [1.0] * count)


def test_a_heat_map_holds_the_cosines_and_names_the_networks() -> None:
    figure = similarity_heatmap(similarity(0.25))
    image = figure.axes[0].images[0]
    assert np.asarray(image.get_array()).tolist() == similarity(0.25).cosine
    assert image.get_clim() == (0, 1)
    assert {"epoch 1", "epoch 3", "0.25", "1.00", "surrogate"} <= words(figure)


def test_several_heat_maps_share_a_scale_that_holds_negative_cosines() -> None:
    figure = similarity_heatmaps([similarity(0.25), similarity(-0.25)], "title", "foot")
    assert [axes.images[0].get_clim() for axes in figure.axes[:2]] == [(-1, 1), (-1, 1)]


def test_many_networks_go_without_numbers_that_would_touch() -> None:
    assert "0.25" not in words(similarity_heatmap(similarity(0.25, count=20)))
