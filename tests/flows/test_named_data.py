"""What a person may name as data on the command line."""

from pathlib import Path

import numpy as np
import pytest

from bench.contracts.dataset import DATASETS
from bench.flows.named_data import named_data
from tests.making.brought_sets import LABELS, pixels, write_folder
from tests.making.tiny_data import complaint, encoded, write_parquet

pytestmark = pytest.mark.usefixtures("own_place")


def test_files_are_a_data_set_called_as_they_are() -> None:
    write_folder(Path("my pictures"), pixels())
    write_parquet(Path("photos.parquet"), [encoded(one) for one in pixels()], LABELS.tolist())
    np.savez("clean.npz", images=pixels(), labels=LABELS)
    found = {text: named_data(text).dataset for text in ("my pictures", "photos.parquet", "clean.npz")}
    assert {text: (one.name, one.format) for text, one in found.items()} == {
        "my pictures": ("my-pictures", "imagefolder"),
        "photos.parquet": ("photos", "parquet"),
        "clean.npz": ("clean", "npz"),
    }
    assert all(one.params["train"] == text and one.params["test"] is None for text, one in found.items())


def shard(path: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_parquet(Path(path), [encoded(one) for one in pixels()], LABELS.tolist())


def sizes(text: str) -> tuple[int, int | None]:
    """Return how many training and test images a data set has."""
    spec = named_data(text).dataset
    kind = DATASETS.get(spec.format)
    train, test = kind(kind.Params.model_validate(spec.params)).open()
    return len(train.labels), None if test is None else len(test.labels)


@pytest.mark.parametrize("given", ["hf", "hf/data"])
def test_a_data_set_of_the_hub_is_read_from_its_root_or_its_files_with_its_test_part(given: str) -> None:
    shard("hf/data/train-00000-of-00002.parquet")
    shard("hf/data/train-00001-of-00002.parquet")
    shard("hf/.cache/huggingface/data/train-00000-of-00001.parquet")
    Path("hf/README.md").write_text("---")
    assert sizes(given) == (24, None)
    shard("hf/data/validation-00000-of-00001.parquet")
    shard("hf/data/test-00000-of-00001.parquet")
    assert sizes(given) == (24, 12)
    assert named_data(given).dataset.name == "hf"


def test_splits_in_folders_of_their_own_are_its_parts() -> None:
    shard("hf/train/0.parquet")
    assert sizes("hf") == (12, None)
    shard("hf/test/0.parquet")
    assert sizes("hf") == (12, 12)
    write_folder(Path("photos/train"), pixels())
    assert sizes("photos") == (12, None)
    assert named_data("photos").dataset.params["train"] == "photos/train"
    write_folder(Path("photos/test"), pixels()[:6])
    assert sizes("photos") == (12, 6)


def test_two_classes_called_train_and_test_are_no_splits() -> None:
    for name in ("train", "test"):
        Path("photos", name).mkdir(parents=True)
        Path("photos", name, "0.png").write_bytes(encoded(pixels()[0]))
    assert sizes("photos") == (2, None)


def test_parquet_files_in_several_folders_are_not_guessed_at() -> None:
    shard("hf/cats/train-00000-of-00001.parquet")
    shard("hf/dogs/train-00000-of-00001.parquet")
    said = "hf holds parquet files in several folders (cats, dogs): name the one that is meant"
    assert complaint(named_data, "hf") == said
    assert named_data("hf/cats").dataset.name == "cats"


def test_an_archive_of_both_parts_is_one() -> None:
    np.savez("both.npz", x_train=pixels(), y_train=LABELS, x_test=pixels()[:6], y_test=LABELS[:6])
    assert sizes("both.npz") == (12, 6)
    Path("broken.npz").write_bytes(b"no archive")
    assert named_data("broken.npz").dataset.params["train"] == "broken.npz"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("pets/data/train-00000-of-00001.parquet", "pets"),
        ("pets/train.parquet", "pets"),
        ("pets/data.npz", "pets"),
        ("pets/training/data.npz", "pets"),
        ("data/train/data/train.npz", "train"),
        ("pets/v1.5.npz", "v1.5"),
        ("pets/trains.npz", "trains"),
    ],
)
def test_what_any_data_set_is_called_names_none(path: str, name: str) -> None:
    Path(path).parent.mkdir(parents=True)
    Path(path).touch()
    assert named_data(path).dataset.name == name


def test_a_name_is_a_data_set_or_the_one_of_an_experiment_with_its_recipe() -> None:
    assert named_data("digits").dataset.format == "digits"
    assert named_data("digits").recipe is None
    found = named_data("cifar10-cpu")
    assert (found.dataset.name, found.dataset.limit, found.recipe) == ("cifar10-jpeg75", 5000, "cpu-small")
    assert named_data("cifar10-cpu", "fast").recipe == "fast"


def test_what_lies_there_comes_before_a_name() -> None:
    write_folder(Path("digits"), pixels())
    assert named_data("digits").dataset.format == "imagefolder"


def test_fields_are_set_as_in_experiments_and_places_are_no_change() -> None:
    found = named_data("cifar10-cpu", overrides=["dataset.train=mine.parquet", "dataset.limit=100", "recipe.epochs=2"])
    assert (found.dataset.params["train"], found.dataset.limit) == ("mine.parquet", 100)
    assert found.recipe == {"name": "cpu-small", "epochs": 2}
    assert found.overrides == ("dataset.limit=100", "recipe.epochs=2")


@pytest.mark.parametrize(
    ("text", "overrides", "said"),
    [
        ("diggits", [], "diggits: nothing is there, and unknown data set 'diggits': did you mean digits"),
        ("digits", ["seeds=1"], "--set seeds=1: here it changes dataset or recipe"),
        ("digits", ["recipe.epochs=1"], "name the one to change with --recipe"),
        ("digits", ["dataset.sise=1"], "dataset.sise: there is no such field"),
        ("notes.txt", [], "notes.txt is no data set that can be read"),
    ],
)
def test_what_is_none_of_these_is_refused(text: str, overrides: list[str], said: str) -> None:
    Path("notes.txt").write_text("hello")
    assert said in complaint(named_data, text, overrides=overrides)
