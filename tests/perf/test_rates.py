"""Rates are work over time."""

import time
from itertools import count

import pytest

from bench.perf import rates
from tests.making.networks import CPU


def test_rates_count_products_and_sums_and_bytes_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = count(step=2)
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(seconds)))
    assert rates.matmul_flops_per_second("fp32", CPU) == 1024**3
    assert rates.copy_bytes_per_second(CPU) == 2**27
