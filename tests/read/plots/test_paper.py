"""Figures for a paper: a column wide, with letters as text, without what the paper says itself."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from bench.read.plots import COLUMN, Judged, Sheet, ablation, bars, classes, curves, examples, passes, save
from bench.read.tables import build
from bench.spec.layout import TableLayout
from tests.making.figures import words
from tests.making.records import checkpoint_table, runs

PAPER = Sheet(COLUMN)


def drawn() -> dict[str, Figure]:
    """Return a figure of each kind."""
    spent = {(name, "{}"): cost for name, cost in (("a", 1.0), ("b", 10.0), ("c", 100.0))}
    costs = build([one for name, _ in spent for one in runs([30.0, 31.0], method=name)], TableLayout())
    rows = [("", "sep", "sep", "", measure, i, 9.0 + i, 1.0) for measure in ("test_acc", "train_acc") for i in (1, 2)]
    columns = ["panel", "method", "label", "note", "measure", "epoch", "mean", "half_width"]
    judged, names = Judged("sep", np.eye(3) * 90 + 1, np.ones(3)), ["ant", "bee", "cow"]
    images = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    return {
        "ablation": ablation(checkpoint_table(), "A title", {"digits": 10.0}, PAPER),
        "bars": bars(checkpoint_table(), "A title", {"digits": 10.0}, PAPER),
        "passes": passes(costs, spent, "A title", {"digits": 10.0}, PAPER),
        "curves": curves(pd.DataFrame(rows, columns=columns), "A title", "foot", {"": 10.0}, PAPER),
        "classes": classes(judged, None, names, "A title", "foot", 10.0, PAPER),
        "examples": examples(images, ["ant", "bee"], {"sep": images + 1, "em": images + 2}, "A title", "foot", PAPER),
    }


def test_a_figure_is_a_column_wide_without_title_and_caption_and_keeps_chance() -> None:
    for kind, figure in drawn().items():
        assert figure.get_figwidth() == COLUMN, kind
        said = " ".join(words(figure))
        assert "A title" not in said
        assert "half-width" not in said
        assert "foot" not in said
        assert ("guessing" in said) == (kind != "examples"), kind


def test_nothing_stands_beyond_the_edges() -> None:
    for kind, figure in drawn().items():
        width, height = figure.get_size_inches()
        box = figure.get_tightbbox()
        assert -0.02 <= box.x0 <= box.x1 <= width + 0.02, kind
        assert -0.02 <= box.y0 <= box.y1 <= height + 0.02, kind


def test_letters_of_a_pdf_are_text_in_fonts_of_type_42_and_its_bytes_the_same_each_time(tmp_path: Path) -> None:
    for name in ("a.pdf", "b.pdf"):
        save(ablation(checkpoint_table(), "", None, PAPER), tmp_path / name, paper=True)
    pdf = (tmp_path / "a.pdf").read_bytes()
    assert pdf == (tmp_path / "b.pdf").read_bytes()
    assert b"/CIDFontType2" in pdf or b"/TrueType" in pdf
    assert b"/Type3" not in pdf
    assert b"CreationDate" not in pdf


@pytest.mark.parametrize("paper", [False, True])
def test_letters_of_an_svg_are_text_for_a_paper_alone(tmp_path: Path, paper: bool) -> None:
    save(ablation(checkpoint_table(), "", None, PAPER), tmp_path / "a.svg", paper=paper)
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert bool(re.search(r"<text [^>]*>Checkpoints</text>", text)) == paper
