"""The interval beside every number is the one of the textbook, over samples that are independent."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.read.stats import Summary, summarise, summarise_cell
from tests.making.records import runs

accuracies = st.lists(st.floats(0, 100), min_size=1, max_size=12)


def test_the_half_width_is_the_one_computed_by_hand() -> None:
    summary = summarise([1.0, 2.0, 3.0, 4.0])
    # sd = sqrt(5 / 3) = 1.29099, the table's t for 3 degrees of freedom is 3.182, so 3.182 * 1.29099 / 2.
    assert summary.mean == 2.5
    assert summary.half_width == pytest.approx(2.054, abs=5e-4)
    assert summary.n == 4


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("n", [2, 3, 5, 30])
def test_the_interval_is_that_of_scipy(n: int, confidence: float) -> None:
    values = np.random.default_rng(n).normal(60, 3, n)
    ours = summarise(values.tolist(), confidence)
    assert ours.half_width is not None
    interval = (ours.mean - ours.half_width, ours.mean + ours.half_width)
    assert interval == pytest.approx(stats.t.interval(confidence, n - 1, values.mean(), stats.sem(values)))
    assert interval == pytest.approx(tuple(stats.ttest_1samp(values, 0).confidence_interval(confidence)))


def test_the_interval_covers_the_true_mean_as_often_as_it_says() -> None:
    draws = np.random.default_rng(7).normal(50, 4, (2000, 4))
    summaries = [summarise(draw.tolist()) for draw in draws]
    covered = [abs(s.mean - 50) <= (s.half_width or 0) for s in summaries]
    assert 0.93 < np.mean(covered) < 0.97


def test_one_value_has_no_interval() -> None:
    assert summarise([61.5]) == Summary(61.5, None, 1)


def test_equal_values_have_an_interval_of_zero() -> None:
    assert summarise([61.5, 61.5, 61.5]) == Summary(61.5, 0.0, 3)


def test_nothing_cannot_be_summarised() -> None:
    with pytest.raises(ValueError, match="no values"):
        summarise([])


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_a_confidence_is_a_fraction(confidence: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        summarise([1.0, 2.0], confidence)


@given(accuracies)
def test_n_is_the_number_of_values_and_the_mean_lies_among_them(values: list[float]) -> None:
    summary = summarise(values)
    assert summary.n == len(values)
    assert min(values) <= summary.mean <= max(values)
    assert (summary.half_width is None) == (len(values) == 1)


@given(accuracies, st.randoms(use_true_random=False))
def test_the_order_of_the_seeds_does_not_matter(values: list[float], random: Random) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)
    assert summarise(shuffled) == summarise(values)


def test_with_one_protected_set_n_counts_victims() -> None:
    assert summarise_cell(runs([60.0, 62.0, 64.0]), "test_acc") == summarise([60.0, 62.0, 64.0])


def test_with_several_protected_sets_n_counts_them_and_victims_are_averaged() -> None:
    records = [
        *runs([60.0, 62.0], craft_seed=0),
        *runs([70.0, 74.0], craft_seed=1),
        *runs([50.0, 50.0], surrogate_seed=1),
    ]
    assert summarise_cell(records, "test_acc") == summarise([61.0, 72.0, 50.0])


def test_a_replicate_with_more_victims_weighs_no_more() -> None:
    records = [*runs([60.0, 60.0, 60.0, 60.0]), *runs([70.0], craft_seed=1)]
    assert summarise_cell(records, "test_acc").mean == 65.0


def test_victims_of_few_protected_sets_would_understate_the_spread_if_counted_as_samples() -> None:
    records = [
        *runs([60.0, 60.1, 59.9, 60.0]),
        *runs([70.0, 70.1, 69.9, 70.0], craft_seed=1),
    ]
    summary = summarise_cell(records, "test_acc")
    naive = summarise([r.test_acc for r in records if r.test_acc is not None])
    assert summary.n == 2
    assert summary.half_width is not None
    assert naive.half_width is not None
    assert summary.half_width > 5 * naive.half_width


def test_what_is_measured_on_the_protected_set_is_not_sampled_again_by_its_victims() -> None:
    one_set = runs([31.5, 31.5, 31.5], "psnr")
    assert summarise_cell(one_set, "psnr") == Summary(31.5, None, 1)
    two_sets = [*one_set, *runs([33.5, 33.5, 33.5], "psnr", craft_seed=1)]
    assert summarise_cell(two_sets, "psnr") == summarise([31.5, 33.5])


def test_a_victims_own_cost_is_sampled_by_every_victim() -> None:
    assert summarise_cell(runs([10.0, 12.0], "train_seconds"), "train_seconds").n == 2


def test_the_last_replicate_of_several_is_a_sample_of_one() -> None:
    assert summarise_cell(runs([60.0, 62.0]), "test_acc", replicated=True) == Summary(61.0, None, 1)
