"""Figures of experiments, on canvases of their own: no display, no global state.

Functions that draw take plain data and return a Figure; `draw` gathers the data of an experiment and writes files.
"""

from bench.plots.ablation import ablation
from bench.plots.bars import bars
from bench.plots.classes import Judged, classes
from bench.plots.curves import curves
from bench.plots.drawing import KINDS, RECORDS_ALONE, Drawn, draw
from bench.plots.examples import examples
from bench.plots.from_records import svgs
from bench.plots.passes import passes
from bench.plots.saving import save
from bench.plots.similarity import similarity_heatmap, similarity_heatmaps
from bench.plots.sources import Sources

__all__ = [
    "KINDS",
    "RECORDS_ALONE",
    "Drawn",
    "Judged",
    "Sources",
    "ablation",
    "bars",
    "classes",
    "curves",
    "draw",
    "examples",
    "passes",
    "save",
    "similarity_heatmap",
    "similarity_heatmaps",
    "svgs",
]
