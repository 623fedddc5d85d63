"""Every format gives back exactly what was stored, in order."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from bench.contracts.dataset import DATASETS
from bench.data.loading import card, load
from bench.data.spec import DatasetSpec
from tests.making.data_files import write_cifar
from tests.making.tiny_data import LABELS, as_stored, encoded, pets, pixels, spec_of, write_parquet


@pytest.fixture
def parquet(tmp_path: Path) -> dict[str, Any]:
    return pets(tmp_path)


def test_the_formats_of_the_design_are_registered() -> None:
    assert {"digits", "cifar10", "cifar100", "parquet", "imagefolder", "npz"} <= set(DATASETS.names())


def test_parquet_gives_back_every_pixel_label_and_class_name(parquet: dict[str, Any]) -> None:
    splits = load(spec_of(parquet))
    np.testing.assert_array_equal(as_stored(splits.train), pixels(8))
    np.testing.assert_array_equal(as_stored(splits.test), pixels(4, seed=1))
    assert splits.train.labels.tolist() == LABELS
    assert splits.test.labels.tolist() == [2, 0, 1, 1]
    assert splits.train.classes == splits.test.classes == ("cat", "dog", "frog")
    assert splits.train.images.dtype == torch.uint8
    assert splits.train.images.is_contiguous()
    assert splits.train.labels.dtype == torch.int64


def test_parquet_reads_plain_binary_columns_of_other_names(tmp_path: Path) -> None:
    table = pa.table({"img": [encoded(x) for x in pixels(3)], "fine": pa.array([1, 0, 1], pa.int8())})
    pq.write_table(table, tmp_path / "both.parquet")
    path = str(tmp_path / "both.parquet")
    columns = {"image": "img", "label": "fine", "allow_same_files": True}
    train = load(DatasetSpec.parse({"name": "x", "format": "parquet", "train": path, "test": path, **columns})).train
    np.testing.assert_array_equal(as_stored(train), pixels(3))
    assert train.labels.tolist() == [1, 0, 1]
    assert train.classes == ("0", "1")


def test_a_parquet_test_set_without_names_or_without_some_class_takes_the_training_classes(
    parquet: dict[str, Any], tmp_path: Path
) -> None:
    unnamed = write_parquet(tmp_path / "unnamed.parquet", [encoded(x) for x in pixels(2)], [0, 1])
    some = {"test": str(unnamed), "allow_empty_test_classes": True}
    assert load(spec_of(parquet, **some)).test.classes == ("cat", "dog", "frog")
    nameless = write_parquet(tmp_path / "nameless.parquet", [encoded(x) for x in pixels(8)], LABELS)
    assert load(spec_of(parquet, train=str(nameless), **some)).test.classes == ("0", "1", "2")


def test_parquet_decodes_only_the_chosen_rows(parquet: dict[str, Any], tmp_path: Path) -> None:
    images = [encoded(x) for x in pixels(8)]
    images[3:] = [b"no image"] * 5
    path = write_parquet(tmp_path / "spoiled.parquet", images, LABELS, ["cat", "dog", "frog"])
    splits = load(spec_of(parquet, train=str(path), limit=3))
    np.testing.assert_array_equal(as_stored(splits.train), pixels(3))


def test_parquet_reads_rows_in_the_order_asked_for(parquet: dict[str, Any]) -> None:
    kind = DATASETS.get("parquet")
    train, _ = kind(kind.Params(train=parquet["train"], test=parquet["test"])).open()  # type: ignore[call-arg]
    order = np.array([7, 0, 4, 1])
    np.testing.assert_array_equal([np.asarray(image) for image in train.read(order)], pixels(8)[order])


def test_imagefolder_takes_classes_and_images_in_name_order(tmp_path: Path) -> None:
    stored = pixels(6)
    for part in ("train", "test"):
        for index, name in enumerate(["b/2.png", "a/9.bmp", "b/deep/3.png", "a/1.PNG", "b/1.png", "a/.x.png"]):
            path = tmp_path / part / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(stored[index]).save(path)
        (tmp_path / part / "a" / "notes.txt").write_text("not an image")
        (tmp_path / part / ".cache").mkdir()
    spec = DatasetSpec.parse(
        {"name": "x", "format": "imagefolder", "train": f"{tmp_path}/train", "test": f"{tmp_path}/test"}
    )
    train = load(spec).train
    assert train.classes == ("a", "b")
    assert train.labels.tolist() == [0, 0, 1, 1, 1]
    np.testing.assert_array_equal(as_stored(train), stored[[3, 1, 4, 0, 2]])


def test_npz_reads_a_pair_of_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=pixels(3), labels=[0, 1, 0], classes=["no", "yes"])
    np.savez_compressed(tmp_path / "b.npz", images=pixels(2, seed=1), labels=np.array([1, 0], np.uint8))
    spec = DatasetSpec.parse({"name": "x", "format": "npz", "train": f"{tmp_path}/a.npz", "test": f"{tmp_path}/b.npz"})
    splits = load(spec)
    np.testing.assert_array_equal(as_stored(splits.train), pixels(3))
    np.testing.assert_array_equal(as_stored(splits.test), pixels(2, seed=1))
    assert splits.test.labels.tolist() == [1, 0]
    assert splits.train.classes == splits.test.classes == ("no", "yes")


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([[1], [0], [1]], ("0", "1")),
        (np.array([[1], [0], [1]], np.uint8), ("0", "1")),
        ([1.0, 0.0, 1.0], ("0", "1")),
        ([True, False, True], ("0", "1")),
        (["yes", "no", "yes"], ("no", "yes")),
        ([["10"], ["9"], ["10"]], ("9", "10")),
    ],
)
def test_npz_reads_labels_of_any_kind(labels: Any, classes: tuple[str, ...], tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x_train=pixels(3), y_train=labels, x_test=pixels(3), y_test=labels)
    train = load(DatasetSpec.parse({"name": "x", "format": "npz", "path": f"{tmp_path}/x.npz"})).train
    assert train.labels.tolist() == [1, 0, 1]
    assert train.classes == classes


def test_npz_reads_names_as_labels_in_the_order_of_its_classes(tmp_path: Path) -> None:
    labels = ["yes", "no", "yes"]
    arrays: dict[str, Any] = {"x_train": pixels(3), "y_train": labels, "x_test": pixels(3), "y_test": labels}
    np.savez(tmp_path / "x.npz", **arrays, classes=["yes", "no"])
    train = load(DatasetSpec.parse({"name": "x", "format": "npz", "path": f"{tmp_path}/x.npz"})).train
    assert (train.labels.tolist(), train.classes) == ([0, 1, 0], ("yes", "no"))


def test_npz_reads_grey_images_with_a_channel(tmp_path: Path) -> None:
    grey = pixels(2)[..., :1]
    np.savez(tmp_path / "x.npz", x_train=grey, y_train=[0, 1], x_test=grey, y_test=[0, 1])
    train = load(DatasetSpec.parse({"name": "x", "format": "npz", "path": f"{tmp_path}/x.npz"})).train
    np.testing.assert_array_equal(as_stored(train), np.repeat(grey, 3, axis=3))


def test_npz_reads_one_file_of_grey_images(tmp_path: Path) -> None:
    grey = pixels(5)[..., 0]
    np.savez(tmp_path / "x.npz", x_train=grey[:3], y_train=[0, 1, 0], x_test=grey[3:], y_test=[0, 1])
    splits = load(DatasetSpec.parse({"name": "x", "format": "npz", "path": f"{tmp_path}/x.npz"}))
    for channel in range(3):
        np.testing.assert_array_equal(as_stored(splits.train)[..., channel], grey[:3])
        np.testing.assert_array_equal(as_stored(splits.test)[..., channel], grey[3:])


def test_digits_are_1297_and_500_images_with_every_class_in_proportion() -> None:
    splits = load(DatasetSpec.parse("digits"))
    assert splits.train.images.shape == (1297, 3, 16, 16)
    assert splits.test.images.shape == (500, 3, 16, 16)
    for part in (splits.train, splits.test):
        assert (part.labels.bincount() / len(part) - 0.1).abs().max() < 0.005
    assert load(DatasetSpec.parse("digits")).train.sha256 == splits.train.sha256


def test_digits_have_no_image_in_both_splits() -> None:
    splits = load(DatasetSpec.parse("digits"))
    both = torch.cat([splits.train.images, splits.test.images])
    assert len(np.unique(both.numpy(), axis=0)) == 1797


def test_digits_use_the_whole_range_of_a_byte() -> None:
    stored = load_digits().images / 16
    splits = load(DatasetSpec.parse("digits"))
    both = torch.cat([splits.train.images, splits.test.images]) / 255
    assert both.amax() == 1
    assert abs(both.mean().item() - stored.mean()) < 0.01


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_reads_the_files_of_torchvision(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = pixels(6, side=32)
    labels = {"b0": [1, 0], "b1": [0, 1], "test": [1, 0]}
    spec = DatasetSpec.parse(write_cifar(name, tmp_path / "data", monkeypatch, stored, labels))
    splits = load(spec)
    np.testing.assert_array_equal(as_stored(splits.train), stored[:4])
    np.testing.assert_array_equal(as_stored(splits.test), stored[4:])
    assert splits.train.labels.tolist() == [1, 0, 0, 1]
    assert splits.train.classes == ("cat", "dog")
    assert card(spec, tmp_path / "cards").n_test == 2
