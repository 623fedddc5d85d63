"""The paragraph says what the sentence rests on, by names that people know, and what flatters the protection."""

from tests.making.verdicts import judged, reached, text_of


def test_the_paragraph_names_ceiling_plain_and_chance() -> None:
    text = text_of(reached([10.4], [63.0]))
    assert (
        "Trained plainly on the clean images resnet8 reaches 63.0 % test accuracy, on the protected ones 10.4 %; "
        "guessing gives 10 %." in text
    )


def test_the_strongest_defense_stands_with_its_share_and_its_own_ceiling() -> None:
    text = text_of(reached([10.0], [90.0]), reached([74.0], [80.0], "jpeg-10"), reached([30.0], [88.0], "grayscale"))
    # (74 - 10) / (90 - 10) = 80 %
    assert (
        "The strongest of 2 tried defenses, JPEG compression at quality 10 (`jpeg-10`), reaches 74.0 % on the "
        "protected images (80 % of what was lost) and 80.0 % on the clean ones." in text
    )


def test_what_a_defense_costs_itself_is_not_laid_to_the_protection() -> None:
    # It gives back 34 of 80 points, 42 %, but 34 of the 35 that it could: its ceiling is at 45 %.
    text = text_of(reached([10.0], [90.0]), reached([44.0], [45.0], "adversarial-training"))
    assert "and 45.0 % on the clean ones: most of what it does not give back is what it costs itself" in text
    # With a ceiling of 90 % as much is missing because of the protection.
    assert "costs itself" not in text_of(reached([10.0], [90.0]), reached([44.0], [90.0], "adversarial-training"))


def test_a_defense_is_named_by_what_it_is_and_a_chain_by_its_parts() -> None:
    text = text_of(reached([10.0], [90.0]), reached([80.0], [88.0], "jpeg-10+grayscale"))
    assert "JPEG compression at quality 10, then grayscale (`jpeg-10+grayscale`)" in text


def test_a_defense_that_nobody_here_knows_keeps_its_name() -> None:
    found = judged(reached([10.0], [90.0]), reached([80.0], [88.0], "defense-of-somebody"))
    assert found.headline.startswith("The defense defense-of-somebody gives back 88 %")


def test_a_peak_far_above_the_last_epoch_is_said() -> None:
    text = text_of(reached([10.0], [90.0], peak_acc=45.0))
    assert "Judging the last epoch flatters the protection: in its best epoch plain training was at 45.0 %" in text


def test_a_peak_near_the_last_epoch_is_not_worth_a_sentence() -> None:
    assert "flatters" not in text_of(reached([10.0], [90.0], peak_acc=19.0))


def test_classes_learned_under_wrong_names_are_said() -> None:
    text = text_of(reached([2.0], [90.0], relabelled_acc=60.0))
    assert "after plain training the best renaming of the outputs gets 60.0 % right" in text


def test_a_peak_of_a_defense_counts_where_it_is_above_all_that_was_reached() -> None:
    plain, jpeg = reached([10.0], [90.0]), reached([40.0], [88.0], "jpeg-10")
    above = reached([12.0], [88.0], "grayscale", peak_acc=50.0)
    below = reached([12.0], [88.0], "grayscale", peak_acc=30.0)
    assert "in its best epoch grayscale was at 50.0 %" in text_of(plain, jpeg, above)
    assert "flatters" not in text_of(plain, jpeg, below)
