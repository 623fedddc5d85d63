"""Which epochs' checkpoints a method gets."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import SepbenchError
from bench.method import Surrogate

# fmt: off
THIRTY = (
    3, 7, 11, 15, 19, 23, 27, 31, 35, 39, 43, 47, 51, 55, 59,
    63, 67, 71, 75, 79, 83, 87, 91, 95, 99, 103, 107, 111, 115, 119,
)
# fmt: on


@pytest.mark.parametrize(
    ("count", "epochs"),
    [
        (30, THIRTY),
        (15, (7, 15, 23, 31, 39, 47, 55, 63, 71, 79, 87, 95, 103, 111, 119)),
        (5, (23, 47, 71, 95, 119)),
        (3, (39, 79, 119)),
        (1, (119,)),
        (120, tuple(range(120))),
    ],
)
def test_checkpoints_of_120_epochs_are_those_of_the_paper(count: int, epochs: tuple[int, ...]) -> None:
    assert Surrogate(checkpoints=count).epochs(120) == epochs


@st.composite
def runs(draw: st.DrawFn) -> tuple[int, int]:
    """Draw an epoch count and a number of checkpoints that it has."""
    trained = draw(st.integers(1, 400))
    return trained, draw(st.integers(1, trained))


@settings(derandomize=True, deadline=None, max_examples=200)
@given(run=runs())
def test_checkpoints_are_distinct_in_order_evenly_spaced_and_end_with_the_last(run: tuple[int, int]) -> None:
    trained, count = run
    epochs = Surrogate(checkpoints=count).epochs(trained)
    assert len(epochs) == count
    assert list(epochs) == sorted(set(epochs))
    assert epochs[0] >= 0
    assert epochs[-1] == trained - 1
    gaps = {later - earlier for earlier, later in zip((-1, *epochs), epochs, strict=False)}
    assert max(gaps) - min(gaps) <= 1
    if trained % count == 0:
        assert gaps == {trained // count}


@settings(derandomize=True, deadline=None, max_examples=50)
@given(trained=st.integers(1, 400), more=st.integers(1, 400))
def test_more_checkpoints_than_epochs_are_refused(trained: int, more: int) -> None:
    with pytest.raises(SepbenchError) as caught:
        Surrogate(checkpoints=trained + more).epochs(trained)
    assert f"{trained + more} checkpoints" in str(caught.value)
    assert f"at most {trained}" in str(caught.value)
