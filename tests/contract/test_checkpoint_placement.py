"""Which epochs' checkpoints a method gets."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.contracts.method import Surrogate
from bench.contracts.placement import Placement
from bench.core.errors import SepbenchError

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
    assert epochs is not None
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


@pytest.mark.parametrize(
    ("placement", "count", "epochs"),
    [
        ("first", 3, (0, 1, 2)),
        ("last", 3, (7, 8, 9)),
        ("equidistant", 5, (1, 3, 5, 7, 9)),
        ("first", 10, tuple(range(10))),
    ],
)
def test_placements_of_ten_epochs(placement: Placement, count: int, epochs: tuple[int, ...]) -> None:
    assert Surrogate(checkpoints=count, placement=placement).epochs(10) == epochs


def test_improving_epochs_beat_every_earlier_one_on_the_test_set() -> None:
    accuracies = [10.0, 20.0, 15.0, 30.0, 30.0, 25.0, 40.0, 50.0, 45.0, 60.0]  # improve in epochs 0 1 3 6 7 9
    improving = Surrogate(checkpoints=3, placement="improving")
    assert improving.epochs(10) is None, "unknown before training"
    assert improving.epochs(10, accuracies) == (1, 6, 9)
    assert Surrogate(checkpoints=6, placement="improving").epochs(10, accuracies) == (0, 1, 3, 6, 7, 9)
    with pytest.raises(SepbenchError, match=r"7 improving checkpoints were asked .* improved in 6 epochs"):
        Surrogate(checkpoints=7, placement="improving").epochs(10, accuracies)


def improving(count: int, saved: int) -> list[int]:
    """Return which of so many saved checkpoints are taken, where the test accuracy improves in every epoch."""
    epochs = Surrogate(checkpoints=count, placement="improving").epochs(saved, [float(one) for one in range(saved)])
    return list(epochs or ())


@pytest.mark.parametrize(
    ("saved", "count", "positions"),
    [
        (120, 30, list(THIRTY)),  # s = 4: from 4 on there are 29, from 3 on 30
        (5, 1, [4]),  # s = 5: from 5 on there is none, from 4 on one
        (6, 3, [1, 3, 5]),  # s = 2: from 2 on there are 2, from 1 on 3
        (7, 3, [2, 4, 6]),  # s = 2: from 2 on there are 3
        (10, 4, [2, 4, 6, 8]),
        (11, 4, [4, 6, 8, 10]),  # s = 2: from 2, 1 and 0 on there are 5, 5 and 6; from -7 on, which is 4, there are 4
        (6, 4, [2, 3, 4, 5]),  # s = 1: from 1 and 0 on there are 5 and 6; from -4 on there are 4
        (35, 30, list(range(5, 35))),  # s = 1: from 1 and 0 on there are 34 and 35; from -30 on there are 30
    ],
)
def test_improving_checkpoints_are_thinned_as_in_the_released_script(
    saved: int, count: int, positions: list[int]
) -> None:
    assert improving(count, saved) == positions


@pytest.mark.parametrize("saved", range(1, 61))
def test_improving_checkpoints_start_where_there_are_as_many_as_asked_for(saved: int) -> None:
    """The rule in steps: from s = floor(N / n) downwards, the first start from which every s-th are n."""
    for count in range(1, saved + 1):
        spacing = saved // count
        start, found = spacing, [-1] * (count + 1)
        while len(found) != count:
            found, position = [], start if start >= 0 else saved + start
            while position < saved:
                found.append(position)
                position += spacing
            start -= 1
        assert improving(count, saved) == found


def test_a_list_of_epochs_is_taken_as_it_is_or_refused() -> None:
    assert Surrogate(at=(0, 4, 9)).epochs(10) == (0, 4, 9)
    with pytest.raises(SepbenchError, match=r"epoch 10 was asked .* the last is 9"):
        Surrogate(at=(0, 10)).epochs(10)
