"""How large a difference must be for a few seeds to tell it from none."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import fsum, sqrt

import numpy as np

from bench.read.stats.comparison import DECIMALS
from bench.read.stats.intervals import CONFIDENCE, Samples

POWER = 0.8


@dataclass(frozen=True)
class Resolution:
    """What a paired t-test on `n` pairs can resolve, in the unit of the value.

    Attributes
    ----------
    n
        Of the comparisons with the most pairs.
    spread
        Standard deviation of the paired differences, pooled over all comparisons.
    difference
        The true difference that the test finds at 5 % with the probability `POWER`, if it is made once.

    """

    n: int
    spread: float
    difference: float


def resolution(groups: Iterable[Sequence[Samples]]) -> Resolution | None:
    """Return the smallest difference that candidates of a group can be told apart by.

    Parameters
    ----------
    groups
        Candidates that compete with one another. What comparisons of one group find of the spread is pooled with that
        of all others, as a few pairs alone tell little of it.

    Returns
    -------
    Resolution or None
        None where no two candidates share two seeds, or where none of their differences varies.

    """
    differences = [
        [a[seeds] - b[seeds] for seeds in a if seeds in b] for group in groups for a, b in combinations(group, 2)
    ]
    paired = [np.array(values).round(DECIMALS) for values in differences if len(values) > 1]
    if not paired:
        return None
    squares = fsum(float(((values - values.mean()) ** 2).sum()) for values in paired)
    spread = sqrt(squares / sum(len(values) - 1 for values in paired))
    n = max(map(len, paired))
    return Resolution(n, spread, spread * detectable(n)) if spread else None


def detectable(n: int, power: float = POWER) -> float:
    """Return the difference, in standard deviations of the pairs' differences, that `n` pairs show so often.

    Parameters
    ----------
    n
        Two or more.
    power
        Probability that a two-sided paired t-test at 5 % rejects, between 0.05 and 1.

    Notes
    -----
    Given the estimated variance, the t statistic is normal: its tails are averaged over that variance's distribution.
    `scipy.stats.nct` and what builds on it give NaN for two pairs.

    """
    from scipy.optimize import brentq
    from scipy.stats import chi2, norm, t

    shares = (np.arange(4000) + 0.5) / 4000
    threshold = t.ppf((1 + CONFIDENCE) / 2, df=n - 1) * np.sqrt(chi2.ppf(shares, df=n - 1) / (n - 1))

    def missing(shift: float) -> float:
        return float(np.mean(norm.cdf(shift - threshold) + norm.cdf(-shift - threshold))) - power

    # Beyond the largest threshold nearly all samples reject.
    return float(brentq(missing, 0, threshold[-1] + norm.ppf(power) + 10)) / sqrt(n)
