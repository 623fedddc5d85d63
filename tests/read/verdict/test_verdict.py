"""Does it hold? Each rule of the verdict, with numbers worked out by hand."""

from collections.abc import Sequence
from typing import Any

import pytest

from bench.core.errors import SepbenchError
from bench.read.tables import CellId
from bench.read.verdict import Outcome, Verdict, verdict
from bench.record.record import Record
from bench.spec.names import NOTHING
from tests.making.records import record, runs


def reached(
    protected: Sequence[float | None], clean: Sequence[float | None] = (), defense: str = "plain", **changes: Any
) -> list[Record]:
    """Make the runs of one defense on protected images, and on clean ones, judged on 10 classes: chance is 10 %."""
    fields = {"test_acc_per_class": (50.0,) * 10, "n_test": 1000, "defense": defense, **changes}
    return [*runs(clean, **{**fields, "method": "none"}), *runs(protected, **fields)]


def text_of(*groups: list[Record]) -> str:
    return verdict([one for group in groups for one in group]).text()


def judged(*groups: list[Record]) -> Verdict:
    return verdict([one for group in groups for one in group])


def row(text: str, start: str) -> list[str]:
    """Return the numbers of the row of the table whose first cell starts so."""
    (found,) = (line for line in text.splitlines() if line.startswith(f"| {start}"))
    return [cell.strip() for cell in found.strip("|").split("|")][1:]


# The sentence that applies.


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


def test_several_seeds_that_cannot_tell_it_from_nothing_are_said_to() -> None:
    # Differences 1, -1, 1, -1 have mean 0: no paired test finds anything.
    found = judged(reached([89.0, 91.0, 89.0, 91.0], [90.0, 90.0, 90.0, 90.0]))
    assert found.headline == (
        "It does not hold, not even against plain training: 4 seeds cannot tell it from no protection at all."
    )
    # Always 20 points below: told apart, and still no protection.
    assert judged(reached([69.0, 71.0, 70.0], [89.0, 91.0, 90.5])).headline.endswith("plain training.")


# Where nothing can be said.


def test_a_clean_ceiling_near_chance_says_nothing() -> None:
    found = judged(reached([10.0], [12.0]), reached([11.0], [12.0], "grayscale"))
    assert found.outcome is Outcome.UNKNOWN
    assert found.headline == (
        "Nothing can be said: even on the clean images resnet8 reaches 12.0 % on 10 classes, hardly above chance (10 %)"
        ". Train longer, on more images, or another network."
    )


def test_without_a_clean_ceiling_nothing_can_be_said() -> None:
    found = judged(reached([10.0]))
    assert found.outcome is Outcome.UNKNOWN
    assert "plain training on the clean images was not measured" in found.headline


def test_a_clean_ceiling_that_failed_is_told_from_one_that_was_not_measured() -> None:
    found = judged(reached([10.0], [None]))
    assert found.outcome is Outcome.UNKNOWN
    assert "plain training on the clean images failed" in found.headline


def test_without_plain_training_on_protected_images_nothing_can_be_said() -> None:
    found = judged(reached([], [90.0]), reached([40.0], [88.0], "grayscale"))
    assert found.headline == "Nothing can be said: plain training on the protected images was not measured."
    assert row(found.text(), "Grayscale")[:2] == ["40.0", "88.0"]


def test_no_records_at_all_are_a_verdict_too() -> None:
    found = verdict([])
    assert found.outcome is Outcome.UNKNOWN
    assert found.text() == (
        "**Does the protection hold?**\n\nNothing can be said: there is no finished victim of protected images.\n"
    )


# What the paragraph rests on.


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


def test_the_table_has_every_way_to_train_the_strongest_first() -> None:
    text = text_of(
        reached([10.0], [90.0]),
        reached([26.0], [88.0], "grayscale"),
        reached([8.0], [85.0], "cutout-16"),
        reached([50.0], [60.0], "jpeg-10"),
    )
    lines = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ") and "--" not in line]
    assert lines == [
        "training",
        "Plain training",
        "JPEG compression at quality 10 (`jpeg-10`)",
        "Grayscale",
        "Blacking out squares of 16 pixels (`cutout-16`)",
        "Guessing",
    ]
    assert row(text, "JPEG") == ["50.0", "60.0", "50 %"]  # (50 - 10) / (90 - 10)
    assert row(text, "Grayscale") == ["26.0", "88.0", "20 %"]
    assert row(text, "Blacking") == ["8.0", "85.0", "0 %"]  # less than plain training gives nothing back
    assert row(text, "Guessing") == ["10.0", "10.0", ""]


def test_a_defense_that_passes_the_ceiling_gives_all_back_and_no_more() -> None:
    text = text_of(reached([50.0], [60.0]), reached([70.0], [75.0], "cutmix"))
    assert row(text, "Pasting")[2] == "100 %"  # 20 of the 10 points that were lost


def test_where_nothing_was_lost_nothing_is_given_back() -> None:
    text = text_of(reached([91.0], [90.0]), reached([92.0], [91.0], "cutmix"))
    assert row(text, "Pasting")[2] == NOTHING
    assert "of what was lost" not in text


def test_a_defense_is_named_by_what_it_is_and_a_chain_by_its_parts() -> None:
    text = text_of(reached([10.0], [90.0]), reached([80.0], [88.0], "jpeg-10+grayscale"))
    assert "JPEG compression at quality 10, then grayscale (`jpeg-10+grayscale`)" in text


def test_a_defense_that_nobody_here_knows_keeps_its_name() -> None:
    found = judged(reached([10.0], [90.0]), reached([80.0], [88.0], "defense-of-somebody"))
    assert found.headline.startswith("The defense defense-of-somebody gives back 88 %")


# What flatters.


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


# Seeds.


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


# Several victims.


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


# What is not there.


def test_failed_runs_are_counted_and_named() -> None:
    text = text_of(reached([10.0], [90.0]), reached([None], [88.0], "jpeg-10"))
    assert "1 of 4 runs failed and are left out (protected images, resnet8, jpeg-10, seed 0: it fell)." in text
    assert row(text, "JPEG") == [NOTHING, "88.0", ""]


def test_runs_that_were_never_made_are_counted() -> None:
    done = reached([10.0], [90.0])
    planned = [CellId.of(one) for one in [*done, record(defense="jpeg-10"), record(method="none", defense="jpeg-10")]]
    assert "2 of 4 runs are missing." in verdict(done, planned).paragraph


def test_of_a_run_that_was_made_again_the_one_that_worked_counts() -> None:
    failed = record(status="failed", reason="it fell", started="2024-05-03T12:00:00+00:00")
    older = record(test_acc=80.0, started="2024-05-01T12:00:00+00:00")
    newer = record(test_acc=10.0, started="2024-05-02T12:00:00+00:00")
    text = verdict([failed, newer, older, *reached([], [90.0])]).text()
    assert row(text, "Plain training")[0] == "10.0"
    assert "failed" not in text


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


def test_the_question_names_method_budget_and_data() -> None:
    assert judged(reached([10.0], [90.0])).question == "Does sep within linf-8 hold on digits?"
