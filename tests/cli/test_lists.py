"""Lists of names, as a person writes them for an option."""

from bench.cli.lists import listed
from bench.contracts.defense import Defenses
from tests.making.tiny_data import complaint


def test_lists_are_written_with_commas() -> None:
    assert listed("--defenses", "plain, jpeg-10+cutout,jpeg: {quality: 30}") == [
        "plain",
        "jpeg-10+cutout",
        {"jpeg": {"quality": 30}},
    ]
    assert listed("--seeds", "0,1") == [0, 1]
    assert listed("--victims", "resnet8,vgg7") == ["resnet8", "vgg7"]
    assert listed("--seeds", None) is None
    assert "this is no list of names" in complaint(listed, "--seeds", "]")


def test_a_defense_is_listed_as_tables_write_it() -> None:
    several = str(Defenses.parse({"adversarial-training": {"radius": 4, "steps": 3}}))
    assert several == "adversarial-training:radius=4,steps=3"
    chain = f"jpeg-10+{several}"
    assert listed("--defenses", f"plain,{several},{chain}, grayscale") == ["plain", several, chain, "grayscale"]
    # There is nothing that these could belong to.
    assert listed("--defenses", "plain,steps=3") == ["plain", "steps=3"]
    assert listed("--defenses", "jpeg: {quality: 30},steps=3") == [{"jpeg": {"quality": 30}}, "steps=3"]
