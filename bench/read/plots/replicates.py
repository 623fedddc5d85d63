"""Means of whole arrays over the victims of a cell, as tables count them."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.read.stats import summarise

Floats = NDArray[np.float64]


def mean_over_victims(found: Sequence[tuple[str, Floats]]) -> tuple[Floats, Floats, int]:
    """Return the mean of arrays of one shape, the half-width of its interval (NaN for n = 1) and n, elementwise.

    Each array comes with the digest of the protected set that its victim was trained on: victims that share one set
    are averaged first where there are several sets, as in a table.
    """
    by_set: defaultdict[str, list[Floats]] = defaultdict(list)
    for digest, values in found:
        by_set[digest].append(np.asarray(values, dtype=np.float64))
    samples = [np.mean(victims, axis=0) for victims in by_set.values()]
    if len(samples) == 1:
        samples = next(iter(by_set.values()))
    stacked = np.stack(samples)
    each = [summarise(column.tolist()) for column in stacked.reshape(len(stacked), -1).T]
    means = np.array([one.mean for one in each]).reshape(stacked.shape[1:])
    halves = np.array([np.nan if one.half_width is None else one.half_width for one in each])
    return means, halves.reshape(stacked.shape[1:]), len(stacked)
