"""How methods rank over many settings, and how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.read.stats.comparison import DECIMALS
from bench.read.stats.intervals import CONFIDENCE

RESAMPLES = 2000


@dataclass(frozen=True)
class MeanRanks:
    """Mean rank of each method, 1 is best, with its percentile interval; `low` and `high` are None without one."""

    mean: tuple[float, ...]
    low: tuple[float, ...] | None
    high: tuple[float, ...] | None


def mean_ranks(
    strata: Sequence[NDArray[np.float64]], higher_is_better: bool, confidence: float = CONFIDENCE, seed: int = 0
) -> MeanRanks:
    """Rank methods run by run and average, with a bootstrap over seeds that is stratified.

    Within each setting and seed the methods are ranked among themselves, ties share the mean of their ranks. All
    settings count alike, and so do all seeds of a setting.

    Parameters
    ----------
    strata
        For each stratum the values [settings, seeds, methods]: settings whose samples are drawn together, such as the
        victims of the same protected sets. Seeds are resampled within a stratum, for all its settings and methods
        at once.
    higher_is_better
        Whether the largest value has rank 1.
    confidence
        Coverage of the interval.
    seed
        Of the resampling.

    Returns
    -------
    MeanRanks
        Without an interval where a stratum has a single seed.

    Notes
    -----
    A stratum of n seeds is resampled with n - 1 draws: with n, the variance of a stratum's mean would come out smaller
    by (n - 1) / n, a third for three seeds. Source: McCarthy and Snowden, The bootstrap and finite population
    sampling, 1985.

    """
    from scipy.stats import rankdata

    sign = -1 if higher_is_better else 1
    # A setting's weight is its share, so that a stratum counts as often as it has settings.
    by_seed = [rankdata((sign * values).round(DECIMALS), axis=-1).mean(axis=0) for values in strata]
    weights = np.array([len(values) for values in strata], dtype=np.float64)
    weights /= weights.sum()
    mean = sum(weight * ranks.mean(axis=0) for weight, ranks in zip(weights, by_seed, strict=True))
    if any(len(ranks) < 2 for ranks in by_seed):
        return MeanRanks(tuple(map(float, np.asarray(mean))), None, None)
    random = np.random.default_rng(seed)
    resampled = np.zeros((RESAMPLES, by_seed[0].shape[1]))
    for weight, ranks in zip(weights, by_seed, strict=True):
        draws = random.integers(len(ranks), size=(RESAMPLES, len(ranks) - 1))
        resampled += weight * ranks[draws].mean(axis=1)
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return MeanRanks(*(tuple(map(float, np.asarray(numbers))) for numbers in (mean, low, high)))
