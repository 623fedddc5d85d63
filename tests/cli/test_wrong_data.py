"""Images that are missing or damaged are reported before anything runs."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.making.asking import ask, changed, refusal, write
from tests.making.experiments import TINY
from tests.making.tiny_data import LABELS, encoded, pets, pixels, write_parquet

pytestmark = pytest.mark.usefixtures("own_place")

NAMES = ["cat", "dog", "frog"]
DATASET = "dataset:\n  name: digits\n  limit: 200\n  test_limit: 100\n"


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Any]:
    """Write 8 training and 4 test images of 3 classes."""
    return pets(tmp_path)


def answer(data: dict[str, Any], **changes: Any) -> str:
    fields = "".join(f"  {field}: {value}\n" for field, value in {**data, **changes}.items())
    return refusal("run", write(changed(TINY, DATASET, f"dataset:\n{fields}")))


def train_file(images: list[bytes], labels: list[int]) -> Path:
    return write_parquet(Path("changed.parquet").absolute(), images, labels, NAMES)


@pytest.mark.parametrize("format_", ["parquet", "npz", "imagefolder"])
def test_files_that_are_not_there_are_named(format_: str) -> None:
    message = answer({"name": "mine", "format": format_, "train": "gone", "test": "gone"})
    kind = "folder" if format_ == "imagefolder" else "file"
    assert message == f"dataset.train is gone, and there is no such {kind}: correct the path"


def test_a_folder_of_images_that_the_environment_does_not_name_is_asked_for() -> None:
    assert refusal("run", "cifar10-cpu") == (
        "dataset.train uses ${SEPBENCH_DATA}, which is not set: set it to the folder that holds the data, or give "
        "the path with --set dataset.train=PATH"
    )


def test_a_folder_of_images_that_the_environment_names_wrongly_is_to_be_corrected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEPBENCH_DATA", str(tmp_path))
    assert refusal("plan", "cifar10-cpu") == (
        f"dataset.train is {tmp_path}/cifar10-train.parquet, and there is no such file: "
        f"correct SEPBENCH_DATA or the path"
    )


def test_cifar_that_is_not_there_says_how_to_get_it() -> None:
    message = refusal("run", write(changed(TINY, DATASET, "dataset: cifar10\n")))
    assert message.startswith("CIFAR-10 is missing or damaged at ")
    assert message.endswith("dataset.download to true")


@pytest.mark.parametrize("damage", ["no parquet at all", "cut", "zeros"])
def test_a_damaged_parquet_file_is_named(damage: str, data: dict[str, Any]) -> None:
    whole = Path(data["train"]).read_bytes()
    kinds = {"cut": whole[:-20], "zeros": whole[:40] + bytes(40) + whole[80:]}
    Path("damaged.parquet").write_bytes(kinds.get(damage, damage.encode()))
    message = answer(data, train="damaged.parquet")
    assert message.startswith("damaged.parquet cannot be read as Parquet (")
    assert message.endswith("): replace it")


@pytest.mark.parametrize("keep", [0, 8, 40])
def test_a_damaged_image_is_named_by_its_row(keep: int, data: dict[str, Any]) -> None:
    images = [encoded(x) for x in pixels(8)]
    path = train_file([*images[:6], images[6][:keep], images[7]], LABELS)
    message = answer(data, train=path)
    assert message.startswith(f"row 6 of {path} ")
    assert message.endswith(": repair or remove it")


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ([0, 1, 2, 3, 0, 1, 2, 0], "has label 3 (row 3 of {path}) but 3 classes: labels must run from 0 to 2"),
        ([0, 1, 2, -1, 0, 1, 2, 0], "has label -1 (row 3 of {path}): labels must count the classes from 0"),
        ([0, 1, 0, 1, 0, 1, 0, 1], "no training image of 'pets' has label 2 (class 'frog'): labels must run from 0"),
    ],
)
def test_labels_that_do_not_fit_the_classes_are_named(labels: list[int], says: str, data: dict[str, Any]) -> None:
    path = train_file([encoded(x) for x in pixels(8)], labels)
    assert says.format(path=path) in answer(data, train=path)


def test_a_test_set_of_other_classes_is_refused(data: dict[str, Any]) -> None:
    images = [encoded(x) for x in pixels(4)]
    other = write_parquet(Path("other.parquet"), images, [0, 1, 2, 0], ["cat", "dog", "horse"])
    assert answer(data, test=other).startswith("the classes of 'pets' differ: only the training set has 'frog'")
    more = write_parquet(Path("more.parquet"), images, [0, 1, 2, 3], NAMES)
    assert "the test set of 'pets' has label 3 (row 3 of more.parquet), a class that the training set lacks" in answer(
        data, test=more
    )


@pytest.mark.parametrize(("part", "called"), [("train", "training"), ("test", "test")])
def test_a_set_without_images_is_refused(part: str, called: str, data: dict[str, Any]) -> None:
    pq.write_table(pq.read_table(data[part]).slice(0, 0), "empty.parquet")
    message = answer(data, **{part: "empty.parquet"})
    assert message == f"the {called} set of 'pets' is empty: it needs at least one image"


def test_a_column_that_the_file_lacks_is_answered_with_those_it_has(data: dict[str, Any]) -> None:
    message = answer(data, image="picture")
    assert message.endswith("has no column 'picture': it has image, label; name the right one as dataset.image")


def test_shards_are_given_on_the_command_line_as_a_pattern_a_folder_or_a_list(data: dict[str, Any]) -> None:
    for number, labels in enumerate(([0, 1, 2, 0], [2, 1, 0, 1])):
        images = [encoded(x) for x in pixels(4, seed=number)]
        write_parquet(Path(f"train-0000{number}-of-00002.parquet"), images, labels, NAMES)
    fields = "".join(f"  {field}: {value}\n" for field, value in {**data, "resize": 16}.items())
    experiment = write(changed(TINY, DATASET, f"dataset:\n{fields}"))
    Path("test").mkdir()
    Path(data["test"]).rename("test/0000.parquet")
    pattern = "dataset.train=train-*-of-00002.parquet"
    listed = "dataset.train=[train-00000-of-00002.parquet, train-00001-of-00002.parquet]"
    for train in (pattern, listed):
        assert ask("plan", experiment, "--set", train, "--set", "dataset.test=test").code == 0
    alone = ("--set", "dataset.train=train-00001-of-00002.parquet", "--set", "dataset.test=test")
    assert refusal("plan", experiment, *alone).startswith(
        "dataset.train is train-00001-of-00002.parquet, one shard of 2: give all of them, as train-*-of-00002*.parquet"
    )


def test_a_limit_beyond_the_images_says_how_many_there_are(data: dict[str, Any]) -> None:
    assert answer(data, limit=9) == (
        "dataset.limit asks of the training set of 'pets' 9 images, but it has 8: lower it or leave it out"
    )
