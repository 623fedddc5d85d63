"""What a defense gives back is a share of what plain training loses, over the victims of this very set."""

from pathlib import Path
from typing import Any

import pytest

from bench.cli.options import planned
from bench.read.hub import given_back
from bench.read.hub.given_back import judged
from bench.record.record import Record
from bench.store.home import Home
from tests.making.asking import Finished
from tests.making.records import record, runs

pytestmark = pytest.mark.usefixtures("own_place")


def of_set(key: str, accuracies: list[float], **changes: Any) -> list[Record]:
    return runs(list(accuracies), protected_key=key, **changes)


def test_what_a_defense_gives_back_is_its_share_of_what_plain_training_loses() -> None:
    known = [
        *of_set("clean", [88.0, 92.0], method="none"),
        *of_set("clean", [80.0], method="none", defense="jpeg-10"),
        *of_set("mine", [8.0, 12.0]),
        *of_set("mine", [70.0, 70.0], defense="jpeg-10"),
        *of_set("other", [50.0], craft_seed=1),
    ]
    plain, jpeg = judged(known, "mine")
    assert (plain.victim, plain.defense, plain.protected.mean, plain.protected.n) == ("resnet8", "plain", 10.0, 2)
    assert plain.clean is not None
    assert (plain.clean.mean, plain.given_back) == (90.0, None)
    assert jpeg.clean is not None
    assert (jpeg.defense, jpeg.clean.mean, jpeg.protected.mean) == ("jpeg-10", 80.0, 70.0)
    assert jpeg.given_back == pytest.approx((70 - 10) / (90 - 10))


def test_no_share_is_told_of_a_loss_of_less_than_five_points() -> None:
    known = [
        *of_set("clean", [90.0], method="none"),
        *of_set("mine", [86.0]),
        *of_set("mine", [88.0], defense="jpeg-10"),
    ]
    assert [one.given_back for one in judged(known, "mine")] == [None, None]


def test_victims_of_other_data_recipes_or_mixtures_are_none_of_this_sets(finished: Finished, tmp_path: Path) -> None:
    plan = planned("tiny.yaml", (), None, ())
    same = {
        "train_sha256": plan.card.train_sha256,
        "test_sha256": plan.card.test_sha256,
        "recipe": plan.experiment.recipe.name,
        "test_acc": 50.0,
    }
    right = record(**same, key="right")
    others = [
        record(**{**same, "recipe": "digits"}, key="recipe"),
        record(**{**same, "train_sha256": "a" * 64}, key="data"),
        record(**same, protected_fraction=0.5, key="fraction"),
        record(**same, clean_images=20, key="clean"),
        record(**{**same, "test_acc": None}, status="failed", reason="it fell", key="failed"),
    ]
    own = {one.key for one in given_back.known_records(plan, Home.find(), None)}
    assert len(own) == 3
    for number, one in enumerate([right, *others]):
        (tmp_path / f"{number}.json").write_text(one.to_json(), encoding="utf-8")
    assert {one.key for one in given_back.known_records(plan, Home.find(), tmp_path)} == own | {"right"}
