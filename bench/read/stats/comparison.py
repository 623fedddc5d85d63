"""Which of several methods is best, and which of the others cannot be told from it."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from bench.read.stats.intervals import CONFIDENCE, Samples, summarise

Test = Literal["ttest", "wilcoxon"]
TESTS: tuple[Test, ...] = get_args(Test)

# With fewer pairs the test can never reject at 5 %: five signs that all agree have p = 2 / 2 ** 5.
SMALLEST_N: dict[Test, int] = {"ttest": 2, "wilcoxon": 6}

# Accuracies are ratios of counts: what differs beyond these decimals is the arithmetic's rounding.
DECIMALS = 9


def paired_p_value(a: Samples, b: Samples, test: Test = "ttest") -> float | None:
    """Return the two-sided p-value of a comparison paired by seeds.

    Parameters
    ----------
    a, b
        Samples of two cells; those whose seeds the other cell lacks are left out.
    test
        `ttest` is the paired t-test, `wilcoxon` the signed-rank test.

    Returns
    -------
    float or None
        None where fewer than `SMALLEST_N` pairs are left. Without any difference p is 1. Where all differences are
        the same and not zero, the t statistic is infinite: p is 0.

    """
    pairs = [seeds for seeds in a if seeds in b]
    if len(pairs) < SMALLEST_N[test]:
        return None
    ours, theirs = (np.array([samples[seeds] for seeds in pairs]) for samples in (a, b))
    differences = (ours - theirs).round(DECIMALS)
    if not differences.any():
        return 1.0
    from scipy.stats import ttest_rel, wilcoxon

    if test == "wilcoxon":
        return float(wilcoxon(differences).pvalue)
    if np.all(differences == differences[0]):
        return 0.0
    return float(ttest_rel(ours, theirs).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's step-down adjusted p-values, in the order given: rejecting those up to alpha keeps the chance of
    any false rejection in the family at alpha.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics, 1979.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def best_and_ties(
    groups: Sequence[Sequence[Samples]], higher_is_better: bool, test: Test = "ttest"
) -> list[list[bool] | None]:
    """Say for each candidate whether it is the best of its group, or not to be told from the best.

    Parameters
    ----------
    groups
        Candidates that compete with one another, each with at least one sample. The comparisons of all groups are
        one family for Holm's correction.
    higher_is_better
        Which end of the scale is best.
    test
        As in `paired_p_value`.

    Returns
    -------
    list
        A flag for each candidate; None for a group with fewer than two, or with one that shares too few seeds with
        the best to be compared.

    """
    chosen: list[int | None] = []
    family: list[list[float]] = []
    for group in groups:
        means = [summarise(list(samples.values())).mean * (1 if higher_is_better else -1) for samples in group]
        best = max(range(len(group)), key=means.__getitem__) if len(group) > 1 else None
        p_values = [] if best is None else [paired_p_value(samples, group[best], test) for samples in group]
        known = [p for p in p_values if p is not None]
        comparable = len(known) == len(group)
        chosen.append(best if comparable else None)
        family.append([p for index, p in enumerate(known) if index != best] if comparable else [])
    adjusted = iter(holm([p for p_values in family for p in p_values]))
    marks: list[list[bool] | None] = []
    for group, best in zip(groups, chosen, strict=True):
        if best is None:
            marks.append(None)
        else:
            marks.append([index == best or next(adjusted) > 1 - CONFIDENCE for index in range(len(group))])
    return marks
