"""Figures of experiments, on canvases of their own: no display, no global state.

Functions that draw take plain data and return a Figure; `draw` gathers the data of an experiment and writes files.
"""

from bench.read.plots.ablation import ablation
from bench.read.plots.bars import bars
from bench.read.plots.classes import Judged, classes
from bench.read.plots.curves import curves
from bench.read.plots.drawing import (
    KINDS,
    RECORDS_ALONE,
    Drawn,
    draw,
    draw_evaluation,
)
from bench.read.plots.examples import examples
from bench.read.plots.frame import COLUMN, SCREEN, Sheet
from bench.read.plots.from_records import svgs
from bench.read.plots.material import Sources
from bench.read.plots.passes import passes
from bench.read.plots.saving import save
from bench.read.plots.similarity import similarity_heatmap, similarity_heatmaps

__all__ = [
    "COLUMN",
    "KINDS",
    "RECORDS_ALONE",
    "SCREEN",
    "Drawn",
    "Judged",
    "Sheet",
    "Sources",
    "ablation",
    "bars",
    "classes",
    "curves",
    "draw",
    "draw_evaluation",
    "examples",
    "passes",
    "save",
    "similarity_heatmap",
    "similarity_heatmaps",
    "svgs",
]
