"""A verdict is on one protection: one method within one budget, on one data set."""

from typing import Any

import pytest

from bench.core.errors import SepbenchError
from bench.read.verdict import Outcome, verdict
from tests.making.verdicts import judged, reached


def test_the_question_names_method_budget_and_data() -> None:
    assert judged(reached([10.0], [90.0])).question == "Does sep within linf-8 hold on digits?"


def test_a_control_beside_the_method_is_left_out() -> None:
    noise = reached([88.0], method="random-noise")
    assert judged(reached([10.0], [90.0]), noise).outcome is Outcome.HOLDS
    assert judged(reached([], [90.0]), noise).outcome is Outcome.FAILS


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"method": "em"}, "several methods (sep and em)"),
        ({"budget": 16.0}, "several budgets (linf-8 and linf-16)"),
        ({"dataset": "cifar10"}, "several data sets (digits and cifar10)"),
        ({"recipe": "fast"}, "several recipes (digits and fast)"),
    ],
)
def test_a_verdict_is_on_one_protection(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SepbenchError) as caught:
        verdict([*reached([10.0], [90.0]), *reached([10.0], **changes)])
    assert said in str(caught.value)
