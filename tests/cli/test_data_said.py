"""What a data set consists of is said where it is planned, run and tabulated, and stands in its records."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.record.record import Record, read_record
from tests.making.asking import Finished, ask, changed, done, write
from tests.making.experiments import TINY
from tests.making.tiny_data import encoded, pixels, write_parquet

pytestmark = pytest.mark.usefixtures("own_place")

DATASET = "dataset:\n  name: digits\n  limit: 200\n  test_limit: 100\n"
METHODS = TINY[TINY.index("methods:") : TINY.index("victims:")]


@pytest.fixture
def insects(tmp_path: Path) -> str:
    """An experiment on 4 ants and 3 bees, of which one of each is a test image, too; with a system's file."""
    shades = iter(range(20, 250, 10))
    for name, count in (("train/ant", 4), ("train/bee", 3), ("test/ant", 1), ("test/bee", 1)):
        (tmp_path / name).mkdir(parents=True)
        for number in range(count):
            image = encoded(np.full((16, 16, 3), next(shades), np.uint8))
            (tmp_path / name / f"{number}.png").write_bytes(image)
    (tmp_path / "train/.DS_Store").touch()
    fields = "dataset:\n  name: insects\n  format: imagefolder\n  train: train\n  test: test\n"
    few = changed(changed(TINY, DATASET, fields), METHODS, "methods: [none]\n")
    return write(changed(few, "epochs: 2", "epochs: 1"), "insects.yaml")


def plan(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done("plan", *arguments, "--json"))["data"]
    return found


def test_a_plan_says_how_many_images_there_are_by_class(insects: str) -> None:
    shown = done("plan", insects).splitlines()
    assert "insects: 7 training and 2 test images of 2 classes (3 to 4 and 1 of each)" in shown
    assert "by class, training + test: ant: 4 + 1, bee: 3 + 1" in shown
    assert plan(insects) == {
        "n_train": 7,
        "n_test": 2,
        "classes": [{"name": "ant", "train": 4, "test": 1}, {"name": "bee", "train": 3, "test": 1}],
        "protected_classes": None,
        "n_test_in_train": 0,
        "n_test_in_extra": {},
        "worth_knowing": ["passed over 1 hidden or system file or folder (train/.DS_Store)"],
    }


def test_classes_alike_are_listed_only_where_every_one_is_asked_for() -> None:
    limits = ("--set", "dataset.limit=100", "--set", "dataset.test_limit=50")
    each = ", ".join(f"{number}: 10 + 5" for number in range(10))
    line = f"by class, training + test: {each}"
    shown, whole = (done("plan", write(TINY), *limits, *option).splitlines() for option in ((), ("--all",)))
    assert "digits: 100 training and 50 test images of 10 classes (10 and 5 of each)" in shown
    assert line not in shown
    assert line in whole


def test_a_plan_names_the_protected_classes() -> None:
    some = ("--set", "dataset.protected_classes=3")
    shown = done("plan", write(TINY), *some)
    assert "\nprotected and judged: 0, 1 and 2\n" in shown
    assert " training images of 10 classes (" in shown
    assert " test images of the 3 that are judged (" in shown
    found = plan("tiny.yaml", *some)
    assert found["protected_classes"] == ["0", "1", "2"]
    assert [one["test"] is None for one in found["classes"]] == [False] * 3 + [True] * 7


def test_a_plan_counts_classes_of_one_name_each(tmp_path: Path) -> None:
    """As ImageNet has two that are called crane."""
    names = ["crane", "crane", "ox"]
    for part, labels in (("train", [0, 0, 0, 1, 1, 2]), ("test", [0, 1, 1, 2])):
        images = [encoded(image) for image in pixels(len(labels), seed=len(labels), side=16)]
        write_parquet(tmp_path / f"{part}.parquet", images, labels, names)
    fields = "dataset:\n  name: cranes\n  format: parquet\n  train: train.parquet\n  test: test.parquet\n"
    assert plan(write(changed(TINY, DATASET, fields)))["classes"] == [
        {"name": "crane", "train": 3, "test": 1},
        {"name": "crane", "train": 2, "test": 2},
        {"name": "ox", "train": 1, "test": 1},
    ]


def test_a_plan_on_published_sizes_says_these(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.plan.estimate.time_batch", lambda work, device: 1e-3)
    shown = done("plan", "paper-datasets-imagenet")
    assert "\nimagenet-100: 130,000 training and 500 test images of 100 classes, of which 10 are judged\n" in shown
    found = plan("paper-datasets-imagenet")
    assert (found["n_train"], found["classes"], found["n_test_in_train"]) == (130_000, None, None)


def test_a_run_says_once_what_is_worth_knowing_and_its_table_and_record_say_it_too(insects: str) -> None:
    Path("test/bee/0.png").write_bytes(Path("train/ant/2.png").read_bytes())
    answer = ask("run", insects, "--no-mlflow", "--results", "results")
    assert answer.code == 0, answer.err
    shared = "1 of the 2 test images of insects is a training image, too"
    assert answer.err.count("passed over 1 hidden or system file or folder (train/.DS_Store)") == 1
    assert answer.err.count(shared) == 1
    out = answer.out.splitlines()
    counted = "7 training and 2 test images of 2 classes (3 to 4 and 1 of each)."
    rows = [number for number, line in enumerate(out) if line.startswith("|")]
    assert out.index(f"{shared}.") < rows[0] < rows[-1] < out.index(counted) < out.index("n = 1 victim seed.")
    (path,) = Path("results/records").rglob("*.json")
    record = read_record(path)
    assert record.classes == ("ant", "bee")
    assert (record.n_train, record.train_per_class) == (7, (4, 3))
    assert (record.n_test, record.test_per_class) == (2, (1, 1))
    assert record.n_test_in_train == 1


def test_a_class_that_a_limit_leaves_without_test_images_is_said_everywhere(insects: str) -> None:
    said = "1 of the 2 classes of insects has no test images, and so no accuracy: bee"
    limit = ("--set", "dataset.test_limit=1")
    assert said in done("plan", insects, *limit)
    answer = ask("run", insects, *limit, "--no-mlflow", "--results", "results")
    assert answer.code == 0, answer.err
    assert said in answer.err
    assert f"\n{said}.\n" in answer.out
    assert f"\n{said}.\n" in done("table", insects, *limit)


def test_a_record_counts_test_images_among_what_its_own_victim_saw(insects: str) -> None:
    """Whatever other shares of clean images the experiment has."""
    Path("test/bee/0.png").write_bytes(Path("train/bee/2.png").read_bytes())
    limit = ("--set", "dataset.limit=2", "--no-mlflow")
    found = {}
    for name, counts in (("alone", "[0]"), ("both", "[0, 5]")):
        text = Path(insects).read_text() + f"clean_images: {counts}\n"
        answer = ask("run", write(text, f"{name}.yaml"), *limit, "--results", name)
        assert answer.code == 0, answer.err
        records = [read_record(path) for path in Path(name).rglob("records/**/*.json")]
        found[name] = {record.clean_images: (record.key, record.n_test_in_train) for record in records}
    assert found["alone"][0] == found["both"][0]
    assert (found["both"][0][1], found["both"][5][1]) == (0, 1)
    assert "\n1 of the 2 test images of insects is a training or clean image, too.\n" in answer.out


def test_a_table_says_how_many_images_its_numbers_are_of(finished: Finished) -> None:
    assert "\n200 training and 100 test images of 10 classes (" in finished.answer.out
    for form in ("html", "latex"):
        assert "200 training and 100 test images" in done("table", "tiny.yaml", "--format", form)


def test_a_record_of_an_earlier_version_stays_as_it_is(finished: Finished) -> None:
    later = {"classes", "n_train", "train_per_class", "test_per_class", "n_test_in_train"}
    for path in (finished.results / "records" / "tiny").glob("*.json"):
        fields = json.loads(path.read_text())
        assert later <= set(fields)
        older = {name: value for name, value in fields.items() if name not in later}
        text = json.dumps(older, indent=1) + "\n"
        assert Record.model_validate_json(text).to_json() == text
