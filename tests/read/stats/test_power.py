"""A table says how large a difference must be for its seeds to show it, and means it."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench.read.stats import Samples, detectable, resolution
from bench.read.tables import build
from bench.record.record import Record
from bench.spec.layout import TableLayout
from tests.making.records import runs


def by_seed(*values: float) -> Samples:
    return {(0, 0, seed): value for seed, value in enumerate(values)}


@pytest.mark.parametrize("n", [2, 3, 9])
def test_a_difference_of_that_size_is_found_four_times_in_five(n: int) -> None:
    pairs = np.random.default_rng(n).normal(detectable(n), 1, (50_000, n))
    assert np.mean(stats.ttest_1samp(pairs, 0, axis=1).pvalue < 0.05) == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize(("n", "power"), [(3, 0.5), (5, 0.9), (20, 0.8)])
def test_it_agrees_with_the_noncentral_t_distribution(n: int, power: float) -> None:
    shift, threshold = detectable(n, power) * n**0.5, stats.t.ppf(0.975, n - 1)
    rejected = stats.nct.sf(threshold, n - 1, shift) + stats.nct.cdf(-threshold, n - 1, shift)
    assert rejected == pytest.approx(power, abs=1e-3)


def test_the_spread_is_that_of_paired_differences_pooled_by_their_degrees_of_freedom() -> None:
    first = [by_seed(0, 30, 60), by_seed(1, 32, 63)]  # differences vary by 2 in squares, on two degrees
    second = [by_seed(10, 20), by_seed(13, 27)]  # by 8, on one
    found = resolution([first, second])
    assert found is not None
    assert found.n == 3
    assert found.spread == pytest.approx((10 / 3) ** 0.5)
    assert found.difference == pytest.approx(detectable(3) * found.spread)


@pytest.mark.parametrize(
    "groups",
    [[], [[by_seed(1, 2)]], [[by_seed(1), by_seed(2)]], [[by_seed(1, 2), by_seed(4, 5)]]],
    ids=["nothing", "one method", "one seed", "no spread"],
)
def test_without_a_spread_nothing_is_said(groups: list[list[Samples]]) -> None:
    assert resolution(groups) is None


def test_a_table_states_what_it_could_have_told_apart() -> None:
    records = [*runs([10.0, 12.0, 11.0]), *runs([30.0, 33.0, 33.0], method="em")]  # differences 20, 21, 22
    (said,) = [note for note in build(records, TableLayout()).notes if note.startswith("With n = ")]
    assert said.startswith("With n = 3 one paired t-test finds a true difference of 3.3 in 80 % of cases")
    assert said.endswith("(standard deviation of paired differences: 1.0).")


def told(records: list[Record], **layout: Any) -> list[str]:
    return [note for note in build(records, TableLayout.model_validate(layout)).notes if note.startswith("With n = ")]


def test_where_only_another_test_is_made_none_is_told_of() -> None:
    numbers = [float(10 + seed**2) for seed in range(7)]
    records = [*runs(numbers), *runs([30 + number**0.5 for number in numbers], method="em")]
    assert told(records, best="wilcoxon") == []


def test_a_table_whose_methods_are_not_compared_tells_what_a_test_would_find() -> None:
    # Differences of 80, 81 and 82: a spread of 1, and 3.3 spreads are found with three pairs.
    records = [*runs([90.0, 92.0, 94.0], method="none"), *runs([10.0, 11.0, 12.0])]
    said = "With n = 3 one paired t-test finds a true difference of 3.3 in 80 % of cases (standard deviation of "
    assert told(records) == [f"{said}paired differences: 1.0)."]
    competing = [*records, *runs([30.0, 33.0, 33.0], method="em")]
    assert told(competing, best="none") == told(competing, best="none", rows="defense", columns=["method"])
    assert len(told(competing, best="none")) == 1
