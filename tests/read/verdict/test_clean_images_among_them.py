"""What plain training reaches with some clean images among the protected ones is told, and is no defense."""

from bench.read.verdict import Outcome
from tests.making.verdicts import judged, reached, row, text_of


def test_dilution_is_told_with_what_it_gives_and_what_was_not_measured() -> None:
    # (50 - 10) / (90 - 10) = 50 %
    text = text_of(reached([10.0], [90.0]), reached([50.0], protected_fraction=0.9))
    assert "With 10 % of the images clean plain training reaches 50.0 % (50 % of what was lost); " in text
    assert "what those clean images give by themselves was not measured" in text
    assert row(text, "Plain training, 10 % of the images clean") == ["50.0", "90.0", "50 %"]


def test_dilution_is_no_defense() -> None:
    found = judged(reached([10.0], [90.0]), reached([80.0], protected_fraction=0.9))
    assert found.outcome is Outcome.HOLDS


def test_a_headline_that_holds_carries_what_clean_images_undo() -> None:
    # (88 - 12) / (90 - 12) = 97 %
    plain, diluted = reached([12.0], [90.0]), reached([88.0], protected_fraction=0.9)
    found = judged(plain, diluted, reached([13.0], [88.0], "grayscale"))
    assert found.outcome is Outcome.HOLDS
    assert found.headline == (
        "It holds against plain training and 1 defense on nothing but protected images, but with 10 % of the images "
        "clean plain training gets 97 % of the lost accuracy back: others may do more."
    )
    assert "what those clean images give by themselves was not measured" in found.paragraph
    assert judged(plain, diluted).headline == (
        "It holds against plain training on nothing but protected images, but with 10 % of the images clean plain "
        "training gets 97 % of the lost accuracy back: no defense was tried, and one as simple as JPEG compression "
        "may do more."
    )


def test_a_headline_that_holds_partly_carries_it_too() -> None:
    plain, diluted = reached([10.0], [90.0]), reached([70.0], protected_fraction=0.9)
    assert judged(plain, diluted, reached([34.0], [88.0], "grayscale")).headline == (
        "It holds partly: grayscale gives back 30 % of the lost accuracy, with 10 % of the images clean plain "
        "training gets 75 % of the lost accuracy back, and a determined trainer may find more."
    )
    # 32 of 80 points above chance are 40 %; 53 - 42 are 23 % of the 48 lost points, but 43 of 80 are 54 %.
    assert judged(reached([42.0], [90.0]), reached([53.0], protected_fraction=0.9)).headline == (
        "It holds partly: plain training alone keeps 40 % of what clean images teach, and with 10 % of the images "
        "clean plain training keeps 54 % of what clean images teach."
    )


def test_clean_images_that_give_little_back_are_still_something_that_was_tried() -> None:
    diluted = reached([30.0], protected_fraction=0.9)
    assert judged(reached([10.0], [90.0]), diluted).headline == (
        "It holds against plain training, and no defense was tried: a defense as simple as JPEG compression may undo "
        "it."
    )
    found = judged(reached([10.0], [90.0]), reached([12.0], [88.0], "grayscale"), diluted)
    assert found.headline.startswith("It holds against all that was tried, plain training and 1 defense:")


def test_of_another_victim_too_it_is_told_what_clean_images_undo() -> None:
    found = judged(
        reached([60.0], [90.0], victim="vgg7"),
        reached([10.0], [90.0]),
        reached([88.0], protected_fraction=0.9),
    )
    assert (
        "with resnet8 it holds on nothing but protected images (at most 10.0 %), but with 10 % of the images clean "
        "plain training gets 98 % of the lost accuracy back" in found.paragraph
    )
