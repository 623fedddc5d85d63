"""How sure a verdict is: what one run, several seeds and their intervals allow to say."""

from bench.read.verdict import Outcome, verdict
from tests.making.verdicts import judged, reached, row, text_of


def test_several_seeds_that_cannot_tell_it_from_nothing_are_said_to() -> None:
    # Differences 1, -1, 1, -1 have mean 0: no paired test finds anything.
    found = judged(reached([89.0, 91.0, 89.0, 91.0], [90.0, 90.0, 90.0, 90.0]))
    assert found.headline == (
        "It does not hold, not even against plain training: 4 seeds cannot tell it from no protection at all."
    )
    # Always 20 points below: told apart, and still no protection.
    assert judged(reached([69.0, 71.0, 70.0], [89.0, 91.0, 90.5])).headline.endswith("plain training.")


def test_one_seed_is_said_to_be_one_run() -> None:
    text = text_of(reached([10.0], [90.0]))
    assert "That is one run of each: another seed may give other numbers." in text
    assert "each number is one run" in text


def test_an_interval_that_reaches_into_another_verdict_says_which() -> None:
    # Mean 20, standard deviation 10, t(0.975, 2) = 4.303: half-width 4.303 * 10 / sqrt(3) = 24.8. At 44.8 % plain
    # training would keep (44.8 - 10) / 80 = 44 %, which is more than a fifth.
    found = judged(reached([10.0, 20.0, 30.0], [90.0, 90.0, 90.0]))
    assert found.outcome is Outcome.HOLDS
    assert (
        "With 3 seeds the 95 % interval of 20.0 ± 24.8 % also allows that it holds partly: more seeds would tell."
        in found.text()
    )


def test_an_interval_within_the_verdict_says_so() -> None:
    # Standard deviation 1: half-width 4.303 / sqrt(3) = 2.5.
    text = text_of(reached([9.0, 10.0, 11.0], [90.0, 90.0, 90.0]))
    assert "10.0 ± 2.5 %" in text
    assert "Anywhere in the 95 % interval over 3 seeds the verdict is the same." in text
    assert "mean of n = 3 seeds ± 95 % half-width (Student t)" in text


def test_the_interval_of_plain_training_counts_where_a_defense_is_best() -> None:
    # Half-widths are 12.706 * s / sqrt(2): s = 25.46 of 12 and 48 gives 228.7, s = 0.71 of 30 and 31 gives 6.4. At the
    # upper end plain training reaches 100 %, at the lower ends nothing passes 24.1 %: 14.1 of 79.5 points, 18 %, and
    # 27 % of the 89.5 lost ones; the upper end of grayscale is 36.9 %, 41 % of these.
    found = judged(reached([12.0, 48.0], [89.5, 89.5]), reached([30.0, 31.0], [88.0, 88.0], "grayscale"))
    assert found.outcome is Outcome.PARTLY
    assert (
        "With 2 seeds the 95 % intervals of plain training (30.0 ± 228.7 %) and grayscale (30.5 ± 6.4 %) also allow "
        "that it does not hold or it holds against all that was tried: more seeds would tell." in found.text()
    )


def test_an_interval_of_plain_training_alone_never_allows_that_a_defense_undoes_it() -> None:
    # 3.5 ± 12.706 * 4.95 / sqrt(2) = 44.5: from 0 to 48 %, which is 38 of 80 points above chance: 47 %.
    found = judged(reached([0.0, 7.0], [90.0, 90.0]))
    assert found.outcome is Outcome.HOLDS
    assert (
        "With 2 seeds the 95 % interval of 3.5 ± 44.5 % also allows that it holds partly: more seeds would tell."
        in found.text()
    )


def test_where_plain_training_may_reach_less_a_defense_may_be_what_undoes_it() -> None:
    # Plain training keeps 62 % and, at its lower end of 60 - 24.8 = 35.2 %, 31 %; grayscale keeps 56 % in any case.
    found = judged(reached([50.0, 60.0, 70.0], [90.0] * 3), reached([55.0] * 3, [88.0] * 3, "grayscale"))
    assert found.outcome is Outcome.FAILS
    assert "also allow that it is undone by a defense: more seeds would tell." in found.text()


def test_a_defense_that_is_not_the_strongest_counts_where_its_interval_reaches_higher() -> None:
    # 20 ± 12.706 * 7.07 / sqrt(2) = 63.5 reaches 83.5 %, 25 ± 0 nothing else.
    found = judged(
        reached([10.0, 10.0], [90.0, 90.0]),
        reached([25.0, 25.0], [88.0, 88.0], "grayscale"),
        reached([15.0, 25.0], [85.0, 85.0], "jpeg-10"),
    )
    assert found.outcome is Outcome.HOLDS
    assert (
        "of plain training (10.0 ± 0.0 %), grayscale (25.0 ± 0.0 %) and JPEG compression at quality 10 "
        "(20.0 ± 63.5 %) also allow that it is undone by a defense" in found.text()
    )


def test_one_run_beside_several_is_said_to_be_one() -> None:
    text = text_of(reached([9.0, 10.0, 11.0], [90.0] * 3), reached([12.0], [88.0], "grayscale"))
    assert "Anywhere in the 95 % interval over 3 seeds the verdict is the same." in text
    assert "Of grayscale there is one run: another seed may give another number." in text
    assert "one run of each" not in text


def test_several_victims_of_one_protected_set_are_no_replicates_of_it() -> None:
    """Two protected sets with two victims each are two samples: 10 and 20."""
    sets = [
        *reached([9.0, 11.0], craft_seed=0),
        *reached([19.0, 21.0], craft_seed=1),
        *reached([], [90.0, 90.0]),
    ]
    # Mean 15, standard deviation 7.07, t(0.975, 1) = 12.706: half-width 12.706 * 7.07 / sqrt(2) = 63.5.
    assert row(verdict(sets).text(), "Plain training")[0] == "15.0 ± 63.5"
