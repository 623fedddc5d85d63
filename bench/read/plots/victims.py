"""Figures of what the store keeps of victims."""

from collections.abc import Sequence
from statistics import mean
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bench.core.errors import SepbenchError
from bench.core.registry import UnknownName
from bench.read.plots.chance_lines import chance_level, chances_of
from bench.read.plots.classes import Judged, classes
from bench.read.plots.curves import MEASURES, curves
from bench.read.plots.material import Sources
from bench.read.plots.panels import (
    Panel,
    full_name,
    method_labels,
    panels,
    planned,
)
from bench.read.plots.replicates import mean_over_victims
from bench.read.stats import CONFIDENCE
from bench.read.tables import TableCell


def curves_of(sources: Sources) -> Figure:
    """Draw the accuracies of all victims in the store by epoch."""
    names = method_labels(planned(sources.table))
    rows: list[tuple[Any, ...]] = []
    counts = set()
    trained = _trained(sources, "curves")
    for panel, cell, victims in trained:
        label = names[cell.method, cell.method_params]
        note = f"{len(victims)} of {cell.runs}" if len(victims) < cell.runs else ""
        for measure in MEASURES:
            found = [(victim["protected"]["sha256"], np.array(victim["history"][measure])) for victim in victims]
            means, halves, n = mean_over_victims(found)
            counts.add(n)
            rows += [
                (panel.title, cell.method, label, note, measure, epoch, *values)
                for epoch, values in enumerate(zip(means, halves, strict=True), 1)
            ]
    frame = pd.DataFrame(rows, columns=["panel", "method", "label", "note", "measure", "epoch", "mean", "half_width"])
    footnote = (
        f"{sources.table.context} Training accuracy is that of the batches as seen. {interval_note(counts, 'bands')}"
    )
    present = {(panel.title, cell) for panel, cell, _ in trained}
    absent = [
        full_name(names[cell.method, cell.method_params], panel)
        for panel in panels(sources.table)
        for cell in panel.cells
        if (panel.title, cell) not in present
    ]
    missing = f" Missing: {'; '.join(absent)}." if absent else ""
    chances = chances_of(sources.records)
    levels = {panel.title: level for panel in panels(sources.table) if (level := chance_level(chances, panel.cells))}
    return curves(frame, sources.title, f"{footnote}{missing}".strip(), levels, sources.sheet)


def classes_of(sources: Sources) -> Figure:
    """Draw what victims of `sources.method`, or of the protection that leaves the lowest accuracy, take classes for."""
    trained = _trained(sources, "classes")
    known = list(dict.fromkeys(cell.method for _, cell, _ in trained))
    if sources.method is not None and sources.method not in known:
        raise UnknownName("method with finished victims", sources.method, known)
    wanted = [one for one in trained if one[1].method == sources.method]
    wanted = wanted or [one for one in trained if one[1].norm is not None] or trained
    panel, cell, victims = min(wanted, key=lambda one: mean(victim["outcome"]["test_acc"] for victim in one[2]))
    clean = next((one for one in trained if one[0] is panel and one[1].method == "none" and one[1] != cell), None)

    names = method_labels(planned(sources.table))
    label = full_name(names[cell.method, cell.method_params], panel)
    judged, n = _judged(label, victims, sources.experiment.dataset.protected_classes)
    reference = None if clean is None else _judged("none", clean[2], sources.experiment.dataset.protected_classes)[0]
    footnote = (
        f"{sources.table.context} {interval_note({n}, 'error bars')} Above each matrix the mean accuracy of its "
        f"classes; outputs are renamed by the one-to-one assignment that makes it highest."
    ).strip()
    shown = sources.class_names(judged.confusion.shape[1])
    chances = chances_of(sources.records)
    chance = chance_level(chances, [cell])
    return classes(judged, reference, shown, sources.title, footnote, chance, sources.sheet)


def _trained(sources: Sources, kind: str) -> list[tuple[Panel, TableCell, list[dict[str, Any]]]]:
    """Return every cell that has victims in the store, in its panel, with their meta data."""
    found = [
        (panel, cell, victims)
        for panel in panels(sources.table)
        for cell in panel.cells
        if (victims := sources.victims(cell))
    ]
    if not found:
        raise SepbenchError(
            f"{kind} need the finished victims of {sources.experiment.name}, which records do not hold and the store "
            f"in {sources.home.root} lacks: run the experiment here first, or see its runs in MLflow"
        )
    return found


def _judged(label: str, victims: Sequence[dict[str, Any]], classes: int | None) -> tuple[Judged, int]:
    """Return what victims take images of the first so many classes for, or of all of them, and n."""
    shares = []
    for victim in victims:
        counts = np.array(victim["confusion"], dtype=np.float64)[:classes]
        images = counts.sum(axis=1)  # the same for all: they are judged on one test set
        shares.append((victim["protected"]["sha256"], 100 * counts / images.clip(min=1)[:, None]))
    means, halves, n = mean_over_victims(shares)
    means[images == 0] = np.nan
    return Judged(label, means, halves.diagonal()), n


def interval_note(counts: set[int], what: str) -> str:
    """Return a sentence on n, and on what the intervals are where there are some: one victim has none."""
    n = f"n = {max(counts)}" + (" unless marked" if len(counts) > 1 else "")
    if max(counts) < 2:
        return f"{n}."
    return f"{n}; mean over seeds, {what} are the {100 * CONFIDENCE:g} % half-width (Student t)."
