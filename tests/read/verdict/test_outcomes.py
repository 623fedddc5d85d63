"""Which sentence applies: it does not hold, a defense undoes it, it holds partly or against all that was tried."""

import pytest

from bench.read.verdict import Outcome
from tests.making.verdicts import judged, reached


def test_a_defense_that_gives_most_back_means_that_a_determined_trainer_succeeds() -> None:
    # Lost: 90 - 10 = 80 points. JPEG brings 85.2 - 10 = 75.2 of them back: 94 %.
    found = judged(reached([10.0], [90.0]), reached([85.2], [86.0], "jpeg-10"))
    assert found.outcome is Outcome.UNDONE
    assert found.headline == (
        "JPEG compression at quality 10 gives back 94 % of the lost accuracy: "
        "assume that a determined trainer succeeds."
    )


def test_a_defense_that_gives_a_third_back_leaves_a_protection_that_holds_partly() -> None:
    # 24 of 80 points are 30 %; 34 % is (34 - 10) / (90 - 10) = 30 % of what clean images teach.
    found = judged(reached([10.0], [90.0]), reached([34.0], [88.0], "grayscale"))
    assert found.outcome is Outcome.PARTLY
    assert found.headline == (
        "It holds partly: grayscale gives back 30 % of the lost accuracy, and a determined trainer may find more."
    )


def test_plain_training_that_keeps_a_third_leaves_a_protection_that_holds_partly() -> None:
    found = judged(reached([34.0], [90.0]), reached([20.0], [88.0], "grayscale"))
    assert found.outcome is Outcome.PARTLY
    assert found.headline == "It holds partly: plain training alone keeps 30 % of what clean images teach."


def test_where_plain_training_keeps_enough_it_is_not_laid_to_a_defense_that_adds_a_little() -> None:
    # 32 and 33 of 80 points above chance are 40 and 41 %; grayscale gives back 1 of the 48 lost points, 2 %.
    found = judged(reached([42.0], [90.0]), reached([43.0], [88.0], "grayscale"))
    assert found.outcome is Outcome.PARTLY
    assert found.headline == (
        "It holds partly: plain training alone keeps 40 % of what clean images teach, and with grayscale it is 41 %."
    )


def test_a_defense_that_gives_little_back_and_keeps_a_fifth_is_told_by_what_it_keeps() -> None:
    # Plain keeps 15.5 of 80 points, just under a fifth, grayscale 17: 21 %. That gives back 1.5 of 64.5, 2 %.
    found = judged(reached([25.5], [90.0]), reached([27.0], [88.0], "grayscale"))
    assert found.headline == (
        "It holds partly: grayscale lets a network keep 21 % of what clean images teach, and a determined trainer may "
        "find more."
    )


def test_what_nothing_undoes_holds_against_all_that_was_tried_and_that_is_no_proof() -> None:
    found = judged(reached([10.0], [90.0]), reached([14.0], [88.0], "grayscale"), reached([12.0], [85.0], "jpeg-10"))
    assert found.outcome is Outcome.HOLDS
    assert found.headline == (
        "It holds against all that was tried, plain training and 2 defenses: that is no proof, others may do better."
    )


def test_without_any_defense_it_is_said_that_nothing_else_was_tried() -> None:
    found = judged(reached([10.0], [90.0]))
    assert found.outcome is Outcome.HOLDS
    assert found.headline.startswith("It holds against plain training, and nothing else was tried")


def test_a_protection_that_plain_training_gets_past_does_not_hold() -> None:
    # (60 - 10) / (90 - 10) is more than half of what clean images teach.
    found = judged(reached([60.0], [90.0]), reached([50.0], [80.0], "grayscale"))
    assert found.outcome is Outcome.FAILS
    assert found.headline == "It does not hold, not even against plain training."


@pytest.mark.parametrize(
    ("plain", "defended", "outcome"),
    [
        (49.9, 20.0, Outcome.PARTLY),  # 39.9 of 80 points: just under half
        (50.0, 20.0, Outcome.FAILS),
        (10.0, 49.9, Outcome.PARTLY),
        (10.0, 50.0, Outcome.UNDONE),
        (10.0, 25.9, Outcome.HOLDS),  # 15.9 of 80: just under a fifth
        (10.0, 26.0, Outcome.PARTLY),
        (2.0, 46.0, Outcome.UNDONE),  # 44 of the 88 lost points, though only 36 of 80 above chance
    ],
)
def test_the_lines_lie_at_a_half_and_at_a_fifth(plain: float, defended: float, outcome: Outcome) -> None:
    assert judged(reached([plain], [90.0]), reached([defended], [88.0], "grayscale")).outcome is outcome


def test_a_defense_that_passes_the_half_on_the_shoulders_of_plain_training_says_what_it_keeps() -> None:
    # Of the 48 lost points 16 come back, a third; but 58 % is 48 of the 80 points above chance: 60 %.
    found = judged(reached([42.0], [90.0]), reached([58.0], [88.0], "grayscale"))
    assert found.outcome is Outcome.UNDONE
    assert found.headline == (
        "Grayscale lets a network keep 60 % of what clean images teach: assume that a determined trainer succeeds."
    )


def test_a_clean_ceiling_near_chance_says_nothing() -> None:
    found = judged(reached([10.0], [12.0]), reached([11.0], [12.0], "grayscale"))
    assert found.outcome is Outcome.UNKNOWN
    assert found.headline == (
        "Nothing can be said: even on the clean images resnet8 reaches 12.0 % on 10 classes, hardly above chance (10 %)"
        ". Train longer, on more images, or another network."
    )


def test_of_several_victims_the_worst_for_the_owner_speaks() -> None:
    found = judged(
        reached([10.0], [90.0], victim="resnet8"),
        reached([10.0], [80.0], victim="vgg7"),
        reached([12.0], [85.0], "jpeg-10", victim="resnet8"),
        reached([70.0], [75.0], "jpeg-10", victim="vgg7"),
    )
    assert found.outcome is Outcome.UNDONE
    # (70 - 10) / (80 - 10) = 86 %
    assert found.headline.startswith("With vgg7, JPEG compression at quality 10 gives back 86 % of the lost accuracy")
    assert "Of the other victims: with resnet8 it holds against all that was tried" in found.paragraph
    assert [line.split("|")[1].strip() for line in found.table.splitlines()[2:8]] == ["resnet8"] * 3 + ["vgg7"] * 3


def test_a_victim_of_which_nothing_can_be_said_does_not_hide_the_others() -> None:
    found = judged(reached([60.0], [90.0], victim="resnet8"), reached([10.0], [11.0], victim="vgg7"))
    assert found.outcome is Outcome.FAILS
    assert found.headline.startswith("With resnet8, it does not hold")
    assert "with vgg7 nothing can be said" in found.paragraph
