"""What TROUBLESHOOTING.md says of wrong settings is what was measured, and what a small network shows again."""

import csv
from collections import defaultdict
from pathlib import Path
from statistics import mean

import numpy as np
import pytest
import yaml

from bench.data.loading import load
from bench.data.spec import DatasetSpec
from bench.record.record import Record, read_records
from tests.making.asking import done, write
from tests.making.pages import ROOT, read, rows

PAGE = "TROUBLESHOOTING.md"
MEASURED = ROOT / "results" / "settings.csv"
FIELDS = ("test_acc", "relabelled_acc", "train_acc")


def measured() -> dict[str, list[str]]:
    """Return by what was changed the cells of the page: n, and the mean accuracies that `FIELDS` name."""
    runs: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
    with MEASURED.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            runs[line["change"]].append(line)
    return {
        change: [str(len(lines)), *(f"{mean(float(line[field]) for line in lines):.1f}" for field in FIELDS)]
        for change, lines in runs.items()
    }


def test_every_number_of_the_page_was_measured() -> None:
    assert rows(PAGE, "Measured on digits") == measured() != {}


def digits(name: str, labels: tuple[np.ndarray, np.ndarray] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Write 400 training and 200 test images of the digits as an archive, with other labels where they are given."""
    splits = load(DatasetSpec.parse({"name": "digits", "limit": 400, "test_limit": 200}))
    train, test = (one.images.permute(0, 2, 3, 1).numpy() for one in (splits.train, splits.test))
    own = splits.train.labels.numpy(), splits.test.labels.numpy()
    of_train, of_test = own if labels is None else labels
    np.savez(name, x_train=train, y_train=of_train, x_test=test, y_test=of_test)
    return own


def trained_on(archive: str) -> Record:
    """Return the record of a network that was trained on it, clean."""
    experiment = {
        "name": "clean",
        "recipe": {"name": "digits", "epochs": 6},
        "dataset": {"name": "digits", "format": "npz", "path": archive},
        "surrogate": "resnet8",
        "methods": ["none"],
        "victims": ["resnet8"],
    }
    done("run", write(yaml.safe_dump(experiment), "clean.yaml"), "--no-mlflow", "--results", f"of-{Path(archive).stem}")
    (record,) = read_records(Path(f"of-{Path(archive).stem}") / "records")
    return record


@pytest.mark.slow
@pytest.mark.usefixtures("own_place")
def test_classes_in_another_order_show_in_the_accuracy_after_renaming_alone() -> None:
    of_train, of_test = digits("right.npz")
    right = trained_on("right.npz")
    digits("order.npz", (of_train, (of_test + 1) % 10))
    wrong = trained_on("order.npz")
    assert right.test_acc is not None
    assert wrong.test_acc is not None
    assert right.test_acc > 60
    assert wrong.test_acc < 15
    assert wrong.relabelled_acc == right.relabelled_acc
    assert right.relabelled_acc is not None
    assert right.relabelled_acc >= right.test_acc
    assert wrong.train_acc == right.train_acc


@pytest.mark.slow
@pytest.mark.usefixtures("own_place")
def test_labels_of_other_images_leave_nothing_to_rename() -> None:
    of_train, of_test = digits("right.npz")
    digits("shuffled.npz", (np.random.default_rng(0).permutation(of_train), of_test))
    wrong = trained_on("shuffled.npz")
    assert wrong.test_acc is not None
    assert wrong.relabelled_acc is not None
    assert wrong.train_acc is not None
    assert max(wrong.test_acc, wrong.relabelled_acc, wrong.train_acc) < 40


def test_the_readme_leads_to_the_page() -> None:
    assert f"]({PAGE})" in read("README.md")
    assert f"]({PAGE})" in read("CONTRIBUTING.md")
