"""Two methods are compared seed by seed, and many comparisons do not make a difference out of noise."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.read.stats import (
    Samples,
    best_and_ties,
    holm,
    paired_p_value,
)

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=6)


def by_seed(values: Sequence[float] | np.ndarray) -> Samples:
    return {(0, 0, seed): float(value) for seed, value in enumerate(values)}


def closed_testing(p_values: Sequence[float]) -> list[float]:
    """Holm's procedure as what it is a shortcut of: Bonferroni on every subset that has the hypothesis in it."""
    everything = range(len(p_values))
    subsets = [s for size in everything for s in itertools.combinations(everything, size + 1)]
    return [
        max(min(1.0, len(s) * min(p_values[j] for j in s)) for s in subsets if i in s)  # the worst of its subsets
        for i in everything
    ]


@pytest.mark.parametrize("n", [2, 3, 5, 20])
def test_the_t_test_is_the_paired_one_of_scipy(n: int) -> None:
    a, b = np.random.default_rng(n).normal(60, 2, (2, n))
    assert paired_p_value(by_seed(a), by_seed(b)) == pytest.approx(stats.ttest_rel(a, b).pvalue)


@pytest.mark.parametrize("n", [6, 9, 20])
def test_the_signed_rank_test_is_that_of_scipy(n: int) -> None:
    a, b = np.random.default_rng(n).normal(60, 2, (2, n))
    assert paired_p_value(by_seed(a), by_seed(b), "wilcoxon") == pytest.approx(stats.wilcoxon(a, b).pvalue)


def test_samples_are_paired_by_their_seeds_and_not_by_their_order() -> None:
    a, b = np.random.default_rng(0).normal(60, 2, (2, 5))
    shuffled = dict(reversed(list(by_seed(b).items())))
    assert paired_p_value(by_seed(a), shuffled) == pytest.approx(stats.ttest_rel(a, b).pvalue)


def test_pairing_finds_a_difference_that_seeds_would_hide() -> None:
    seeds = np.array([50.0, 60.0, 70.0, 80.0])
    worse = seeds + np.array([1.0, 1.2, 0.9, 1.1])
    p = paired_p_value(by_seed(seeds), by_seed(worse))
    assert p is not None
    assert p < 0.01
    assert stats.ttest_ind(seeds, worse).pvalue > 0.8


def test_seeds_that_only_one_cell_has_are_left_out() -> None:
    a: Samples = {(0,): 60.0, (1,): 61.0, (2,): 63.0, (7,): 0.0}
    b: Samples = {(0,): 65.0, (1,): 65.5, (2,): 69.0, (8,): 99.0}
    expected = stats.ttest_rel([60.0, 61.0, 63.0], [65.0, 65.5, 69.0]).pvalue
    assert paired_p_value(a, b) == pytest.approx(expected)


@pytest.mark.parametrize(("a", "b"), [({(0,): 1.0}, {(0,): 2.0}), ({(0,): 1.0, (1,): 1.0}, {(2,): 2.0, (3,): 2.0})])
def test_a_single_pair_or_none_tells_nothing(a: Samples, b: Samples) -> None:
    assert paired_p_value(a, b) is None


def test_five_pairs_are_too_few_for_signed_ranks() -> None:
    low, high = by_seed([1.0, 2.0, 3.0, 4.0, 5.0]), by_seed([11.0, 12.5, 13.1, 14.7, 15.2])
    assert paired_p_value(low, high, "wilcoxon") is None
    assert stats.wilcoxon(list(low.values()), list(high.values())).pvalue > 0.05


@pytest.mark.parametrize("test", ["ttest", "wilcoxon"])
def test_equal_values_are_no_difference(test: str) -> None:
    same = by_seed([61.2, 60.4, 62.9, 60.0, 61.1, 63.3])
    assert paired_p_value(same, same, test) == 1.0  # type: ignore[arg-type]


def test_rounding_of_the_arithmetic_is_no_difference() -> None:
    assert 0.1 + 0.2 != 0.3
    assert paired_p_value(by_seed([0.1 + 0.2, 0.3]), by_seed([0.3, 0.1 + 0.2])) == 1.0
    assert paired_p_value(by_seed([0.1 + 0.2, 0.1 + 0.2]), by_seed([0.3, 0.3])) == 1.0


def test_a_constant_difference_is_one_although_it_has_no_variance() -> None:
    assert paired_p_value(by_seed([10.0, 20.0, 30.0]), by_seed([10.1, 20.1, 30.1])) == 0.0


def test_holm_multiplies_as_the_paper_says() -> None:
    # Ordered: 0.01 * 4, 0.02 * 3, then 0.03 * 2 and 0.04 * 1, which may not be smaller than the one before.
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@given(p_values)
def test_holm_is_closed_testing_with_bonferroni(values: list[float]) -> None:
    assert holm(values) == pytest.approx(closed_testing(values))


def test_holm_keeps_the_chance_of_any_false_alarm() -> None:
    runs, comparisons = 2000, 6
    noise = np.random.default_rng(3).normal(size=(runs, comparisons, 8))
    p = np.asarray(stats.ttest_1samp(noise, 0, axis=-1).pvalue)
    assert (p.min(axis=1) <= 0.05).mean() > 0.2
    alarms = np.mean([min(holm(one.tolist())) <= 0.05 for one in p])
    margin = 3 * np.sqrt(0.05 * 0.95 / runs)
    assert 0.03 < alarms < 0.05 + margin


def test_the_best_and_what_cannot_be_told_from_it_are_marked() -> None:
    good, close = [10.0, 12.0, 11.0, 13.0], [11.0, 11.5, 11.2, 13.1]
    bad = [30.0, 32.5, 31.0, 33.0]
    assert best_and_ties([[by_seed(bad), by_seed(close), by_seed(good)]], False) == [[False, True, True]]


def test_the_direction_decides_which_end_is_best() -> None:
    low, high = by_seed([10.0, 12.0, 11.5]), by_seed([30.0, 32.5, 31.0])
    assert best_and_ties([[low, high]], False) == [[True, False]]
    assert best_and_ties([[low, high]], True) == [[False, True]]


def test_all_groups_of_a_column_are_one_family() -> None:
    base = [10.0, 12.0, 11.0, 13.0]
    edge = [11.3, 12.2, 12.3, 13.9]
    p = stats.ttest_rel(base, edge).pvalue
    assert 0.025 < p < 0.05
    pair = [by_seed(base), by_seed(edge)]
    assert best_and_ties([pair], False) == [[True, False]]
    assert best_and_ties([pair, pair], False) == [[True, True], [True, True]]


def test_nothing_is_marked_where_a_candidate_cannot_be_compared() -> None:
    base = by_seed([10.0, 11.0])
    single: Samples = {(0, 0, 0): 40.0}
    elsewhere: Samples = {(1, 0): 30.0, (2, 0): 31.0}
    assert best_and_ties([[base, single]], False) == [None]
    assert best_and_ties([[base, elsewhere]], False) == [None]
    assert best_and_ties([[base]], False) == [None]


def test_a_group_that_cannot_be_judged_does_not_weigh_on_the_others() -> None:
    base, other = by_seed([10.0, 11.0, 12.0]), by_seed([20.0, 21.5, 22.1])
    assert best_and_ties([[base, {(9,): 1.0}], [base, other]], False) == [None, [True, False]]


def test_the_truly_best_is_seldom_left_unmarked() -> None:
    random = np.random.default_rng(5)
    lost = 0
    for _ in range(300):
        groups = [[by_seed(random.normal(50, 2, 5)) for _ in range(4)]]
        (marks,) = best_and_ties(groups, False)
        assert marks is not None
        lost += not marks[0]
    # All four are equally good; the best of the sample is chosen after the fact, which costs a little.
    assert lost / 300 < 0.1
