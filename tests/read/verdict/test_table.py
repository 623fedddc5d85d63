"""The table has every way to train, and what each gives back of the accuracy that was lost."""

from bench.spec.names import NOTHING
from tests.making.verdicts import reached, row, text_of


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
