"""Durations as people say them."""

import pytest

from bench.core.duration import duration


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (8.04, "8.0 s"),
        (59.4, "59 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 05 min"),
        (71 * 3600 + 59 * 60, "71 h 59 min"),
        (72 * 3600, "3 days"),
        (20672 * 3600, "861 days"),
    ],
)
def test_a_duration_is_said_in_the_units_of_its_size(seconds: float, said: str) -> None:
    assert duration(seconds) == said
