"""How many images there are is counted and said; classes without images and images in both splits, too."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.data.counts import Counts, names_of
from bench.data.images import in_both
from bench.data.loading import card, load
from bench.data.spec import DatasetSpec
from tests.making.tiny_data import LABELS, complaint, encoded, pets, pixels, spec_of, write_parquet

PETS = ("cat", "dog", "frog")
NAMES = list(PETS)


@pytest.fixture
def parquet(tmp_path: Path) -> dict[str, Any]:
    return pets(tmp_path)


def images(n: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(pixels(n, seed).transpose(0, 3, 1, 2).copy())


# Sentences.


@pytest.mark.parametrize(
    ("train", "test", "sentence"),
    [
        ((500, 500), (1000, 1000), "1,000 training and 2,000 test images of 2 classes (500 and 1,000 of each)"),
        ((500,), (100,), "500 training and 100 test images of 1 class (500 and 100 of each)"),
        ((3, 2, 3), (1, 2, 1), "8 training and 4 test images of 3 classes (2 to 3 and 1 to 2 of each)"),
        (
            (3, 2, 3),
            (4, 4),
            "8 training images of 3 classes (2 to 3 of each) and 8 test images of the 2 that are judged (4 of each)",
        ),
    ],
)
def test_images_are_counted_in_a_sentence(train: tuple[int, ...], test: tuple[int, ...], sentence: str) -> None:
    assert Counts(PETS[: len(train)], train, test).sentence() == sentence


def test_what_is_odd_is_said_and_what_is_not_is_not() -> None:
    assert list(Counts(PETS, (3, 2, 3), (1, 2, 1)).oddities("pets")) == []
    assert list(Counts(PETS, (3, 0, 3), (0, 0, 4), in_both=3).oddities("pets")) == [
        "1 of the 3 classes of pets has no training images: dog",
        "2 of the 3 classes of pets have no test images, and so no accuracy: cat and dog",
        "3 of the 4 test images of pets are training images, too",
    ]


def test_many_names_are_cut_short() -> None:
    assert names_of(["a"]) == "a"
    assert names_of(["a", "b", "c"]) == "a, b and c"
    assert names_of([str(n) for n in range(100)]) == "0, 1, 2, 3, 4, 5, 6, 7 and 92 more"


# Cards.


def test_a_card_counts_the_images_that_are_used_by_class(parquet: dict[str, Any], tmp_path: Path) -> None:
    made = card(spec_of(parquet, limit=5), tmp_path / "cards")
    assert (made.train_per_class, made.test_per_class) == ((2, 1, 2), (1, 2, 1))
    made = card(spec_of(parquet, protected_classes=2), tmp_path / "cards")
    assert (made.train_per_class, made.test_per_class) == ((3, 2, 3), (1, 2))


def test_a_limit_that_leaves_classes_empty_is_said(parquet: dict[str, Any], tmp_path: Path) -> None:
    made = card(spec_of(parquet, limit=2, test_limit=2), tmp_path / "cards")
    assert made.counts is not None
    assert list(made.counts.oddities("pets")) == [
        "1 of the 3 classes of pets has no training images: dog",
        "1 of the 3 classes of pets has no test images, and so no accuracy: frog",
    ]


# Classes without test images.


def test_a_class_without_test_images_is_refused_unless_it_is_allowed(parquet: dict[str, Any], tmp_path: Path) -> None:
    test = write_parquet(tmp_path / "some.parquet", [encoded(x) for x in pixels(2, seed=1)], [0, 0], NAMES)
    spec = spec_of(parquet, test=str(test))
    assert complaint(load, spec) == (
        "the test set of 'pets' has no image of class 'dog', nor of 1 more of the 3: add some, or set "
        "dataset.allow_empty_test_classes to true, and such a class has no accuracy"
    )
    allowed = spec.model_copy(update={"allow_empty_test_classes": True})
    assert card(allowed, tmp_path / "cards").test_per_class == (2, 0, 0)


def test_a_class_that_is_not_judged_needs_no_test_images(parquet: dict[str, Any], tmp_path: Path) -> None:
    test = write_parquet(tmp_path / "some.parquet", [encoded(x) for x in pixels(2, seed=1)], [0, 1], NAMES)
    assert len(load(spec_of(parquet, test=str(test), protected_classes=2)).test) == 2


# The same images twice.


def test_images_that_stand_in_both_are_counted() -> None:
    train, test = images(6), images(4, seed=1)
    assert in_both(test, train) == 0
    test[1], test[3] = train[5], train[5]
    assert in_both(test, train) == 2
    test[3, 0, 0, 0] ^= 1
    assert in_both(test, train) == 1
    assert in_both(test, train[:5], train[5:]) == 1


def test_test_images_are_looked_for_among_what_each_victim_sees(parquet: dict[str, Any], tmp_path: Path) -> None:
    last = [encoded(x) for x in pixels(8)[4:]]
    test = write_parquet(tmp_path / "last.parquet", last, LABELS[4:], NAMES)
    spec = spec_of(parquet, test=str(test), limit=4, allow_empty_test_classes=True)
    alone, besides = card(spec, tmp_path / "cards"), card(spec, tmp_path / "cards", [2, 4])
    assert alone.n_test_in_train == besides.n_test_in_train < besides.n_test_in_extra[2]
    assert besides.n_test_in_extra[2] < besides.n_test_in_extra[4] == 4
    assert alone.n_test_in_extra == {}


def test_clean_images_are_spoken_of_where_more_test_images_stand_among_them(
    parquet: dict[str, Any], tmp_path: Path
) -> None:
    last = [encoded(x) for x in pixels(8)[4:]]
    test = write_parquet(tmp_path / "last.parquet", last, LABELS[4:], NAMES)
    few = card(spec_of(parquet, test=str(test), limit=4, allow_empty_test_classes=True), tmp_path / "cards", [2, 4])
    whole = few.model_copy(update={"n_test_in_train": 4})
    assert few.counts is not None
    assert whole.counts is not None
    sentence = "all 4 test images of pets are training or clean images, too"
    assert sentence in few.counts.oddities("pets")
    assert sentence not in whole.counts.oddities("pets")
    assert "all 4 test images of pets are training images, too" in whole.counts.oddities("pets")


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Any]:
    for number, name in enumerate(("train/ant", "train/bee", "test/ant", "test/bee")):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "0.png").write_bytes(encoded(pixels(1, seed=number)[0]))
    return {"name": "p", "format": "imagefolder", "train": f"{tmp_path}/train", "test": f"{tmp_path}/test"}


@pytest.mark.parametrize("spelling", ["train", "train/", "test/../train", "./train", "link"])
def test_one_folder_for_both_splits_is_refused_however_it_is_written(
    spelling: str, folders: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to("train")
    sentence = complaint(load, spec_of(folders, test=f"{tmp_path}/{spelling}"))
    assert sentence.startswith("training and test images of 'p' are the same, ")
    assert sentence.endswith("set dataset.allow_same_files to true to judge victims on what they were trained on")


@pytest.mark.parametrize("format_", ["parquet", "npz"])
def test_one_file_for_both_splits_is_refused(format_: str, parquet: dict[str, Any], tmp_path: Path) -> None:
    np.savez(tmp_path / "train.npz", images=pixels(2), labels=[0, 1])
    os.link(tmp_path / f"train.{format_}", tmp_path / f"again.{format_}")
    for other in ("train", "again"):
        paths = {"train": f"{tmp_path}/train.{format_}", "test": f"{tmp_path}/{other}.{format_}"}
        assert "are the same, " in complaint(load, DatasetSpec.parse({"name": "x", "format": format_, **paths}))


def test_one_npz_file_with_both_splits_is_not_one_for_both(tmp_path: Path) -> None:
    path, labels = tmp_path / "x.npz", [0, 1]
    np.savez(path, x_train=pixels(2), y_train=labels, x_test=pixels(2, seed=1), y_test=labels)
    assert len(load(DatasetSpec.parse({"name": "x", "format": "npz", "path": str(path)})).test) == 2


def test_one_folder_for_both_splits_can_be_asked_for_and_is_said(folders: dict[str, Any], tmp_path: Path) -> None:
    made = card(spec_of(folders, test=folders["train"], allow_same_files=True), tmp_path / "cards")
    assert made.counts is not None
    assert list(made.counts.oddities("p")) == ["all 2 test images of p are training images, too"]


def test_a_copy_of_the_training_folder_is_said(folders: dict[str, Any], tmp_path: Path) -> None:
    shutil.rmtree(folders["test"])
    shutil.copytree(folders["train"], folders["test"])
    assert card(spec_of(folders), tmp_path / "cards").n_test_in_train == 2


@pytest.mark.usefixtures("settled_files")
def test_what_is_counted_is_kept_with_the_card(folders: dict[str, Any], tmp_path: Path) -> None:
    made = card(spec_of(folders), tmp_path / "cards")
    (path,) = (tmp_path / "cards").iterdir()
    kept = json.loads(path.read_text())
    assert (kept["train_per_class"], kept["test_per_class"], kept["n_test_in_train"]) == ([1, 1], [1, 1], 0)
    assert card(spec_of(folders), tmp_path / "cards") == made
