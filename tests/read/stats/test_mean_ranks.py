"""Ranks over many settings, and an interval that holds what it says."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from bench.read.stats import mean_ranks


def ranks_by_hand(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Count for each value those that are smaller, and half of those that are equal."""
    smaller = (values[..., None, :] < values[..., :, None]).sum(-1)
    equal = (values[..., None, :] == values[..., :, None]).sum(-1) - 1
    return np.asarray(1 + smaller + equal / 2)


def test_ranks_are_averaged_over_settings_and_seeds() -> None:
    one = np.array([[[1.0, 2.0, 3.0], [2.0, 1.0, 3.0]]])
    two = np.array([[[5.0, 4.0, 9.0], [5.0, 4.0, 3.0]]])
    # The first method is first, second, second and third.
    assert mean_ranks([one, two], False).mean == pytest.approx((2.0, 1.5, 2.5))
    assert mean_ranks([one, two], True).mean == pytest.approx((2.0, 2.5, 1.5))


def test_ties_share_their_ranks() -> None:
    tied = np.array([[[7.0, 7.0, 9.0], [0.1 + 0.2, 0.3, 0.1]]])
    assert mean_ranks([tied], False).mean == pytest.approx(((1.5 + 2.5) / 2, (1.5 + 2.5) / 2, (3 + 1) / 2))


def test_a_setting_counts_the_same_however_many_seeds_it_has() -> None:
    few, many = np.array([[[1.0, 2.0]] * 2]), np.array([[[2.0, 1.0]] * 20])
    assert mean_ranks([few, many], False).mean == (1.5, 1.5)


def test_a_stratum_of_two_settings_weighs_two() -> None:
    random = np.random.default_rng(1)
    shared, alone = random.normal(size=(2, 4, 3)), random.normal(size=(1, 6, 3))
    settings = [ranks_by_hand(one).mean(axis=0) for one in (*shared, *alone)]
    assert mean_ranks([shared, alone], False).mean == pytest.approx(tuple(np.mean(settings, axis=0)))


def test_a_clear_order_has_an_interval_of_no_width() -> None:
    result = mean_ranks([np.array([[[1.0, 5.0], [2.0, 6.0], [0.0, 7.0]]])], False)
    assert (result.low, result.high) == ((1.0, 2.0), (1.0, 2.0))


def test_a_single_seed_has_no_interval() -> None:
    result = mean_ranks([np.array([[[1.0, 5.0]]]), np.array([[[1.0, 5.0], [2.0, 6.0]]])], False)
    assert (result.mean, result.low, result.high) == ((1.0, 2.0), None, None)


def test_the_same_numbers_have_the_same_interval() -> None:
    strata = [np.random.default_rng(k).normal(size=(1, 30, 4)) for k in range(7)]
    assert mean_ranks(strata, False) == mean_ranks(strata, False)
    assert mean_ranks(strata, False) != mean_ranks(strata, False, seed=1)


def test_the_interval_is_about_that_of_the_normal_approximation() -> None:
    strata = [np.random.default_rng(k).normal([0, 0.5, 1], 1, (1, 20, 3)) for k in range(10)]
    by_seed = [ranks_by_hand(one)[0] for one in strata]
    error = np.sqrt(sum(one.var(axis=0, ddof=1) / len(one) for one in by_seed)) / len(strata)
    result = mean_ranks(strata, False)
    assert result.low is not None
    assert result.high is not None
    expected = stats.norm.interval(0.95, np.array(result.mean), error)
    assert np.array([result.low, result.high]) == pytest.approx(np.array(expected), abs=0.02)


def test_settings_that_share_their_draws_are_no_further_evidence() -> None:
    one = np.random.default_rng(4).normal([0, 0.5], 1, (1, 12, 2))
    together = mean_ranks([np.concatenate([one, one])], False)
    apart = mean_ranks([one, one], False)
    assert together == mean_ranks([one], False)
    assert together.low is not None
    assert together.high is not None
    assert apart.low is not None
    assert apart.high is not None
    assert apart.high[0] - apart.low[0] < together.high[0] - together.low[0]


@pytest.mark.parametrize(("settings", "seeds"), [(8, 3), (4, 10)])
def test_the_interval_covers_the_true_mean_rank_as_often_as_it_says(settings: int, seeds: int) -> None:
    random = np.random.default_rng(6)
    means = np.array([0.0, 0.4, 1.5])
    # The rank that a method has on average: 1 and the chances that each of the others is below it.
    below = stats.norm.cdf((means[:, None] - means[None, :]) / np.sqrt(2))
    truth = 1 + below.sum(axis=1) - 0.5
    covered = []
    for repeat in range(300):
        result = mean_ranks([random.normal(means, 1, (1, seeds, 3)) for _ in range(settings)], False, seed=repeat)
        covered.append((np.array(result.low) <= truth) & (truth <= np.array(result.high)))
    assert 0.91 < np.mean(covered) < 0.98
