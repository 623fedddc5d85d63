"""Trouble with data is one sentence: what is wrong, where, what to do."""

import errno
import gzip
import os
import re
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from bench.data.loading import card, load, load_with_card
from bench.data.spec import DatasetSpec
from tests.making.tiny_data import LABELS, complaint, encoded, pets, pixels, spec_of, write_parquet

Builder = Callable[..., DatasetSpec]

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
PAGE = b"<!DOCTYPE html><title>Sign in</title>"


@pytest.fixture
def parquet(tmp_path: Path) -> dict[str, Any]:
    return pets(tmp_path)


@pytest.fixture
def npz(tmp_path: Path) -> Builder:
    """Return a function that writes training and test arrays and returns the spec."""

    def build(train: dict[str, Any], test: dict[str, Any] | None = None, **changes: Any) -> DatasetSpec:
        np.savez(tmp_path / "train.npz", **train)
        np.savez(tmp_path / "test.npz", **(train if test is None else test))
        paths = {"train": str(tmp_path / "train.npz"), "test": str(tmp_path / "test.npz")}
        return DatasetSpec.parse({"name": "x", "format": "npz", **paths, **changes})

    return build


@pytest.mark.parametrize("format_", ["parquet", "npz", "imagefolder"])
def test_a_missing_path_is_named_with_its_field(format_: str, tmp_path: Path) -> None:
    spec = DatasetSpec.parse({"name": "x", "format": format_, "train": f"{tmp_path}/gone", "test": "gone"})
    for action, *arguments in ((load, spec), (card, spec, tmp_path / "cards")):
        message = complaint(action, *arguments)
        assert message.startswith(f"dataset.train is {tmp_path}/gone, and there is no such f")


def test_a_limit_beyond_the_data_is_refused(parquet: dict[str, Any]) -> None:
    assert complaint(load, spec_of(parquet, limit=9)) == (
        "dataset.limit asks of the training set of 'pets' 9 images, but it has 8: lower it or leave it out"
    )
    assert "dataset.test_limit asks of the test set" in complaint(load, spec_of(parquet, test_limit=5))


def test_an_image_that_cannot_be_decoded_is_named_by_file_and_row(parquet: dict[str, Any], tmp_path: Path) -> None:
    whole = [encoded(x) for x in pixels(8)]
    for broken in (b"no image", b"", whole[6][: len(whole[6]) // 2]):
        path = write_parquet(tmp_path / "x.parquet", [*whole[:6], broken, whole[7]], LABELS, ["a", "b", "c"])
        spec = spec_of(parquet, train=str(path), test=str(path), allow_same_files=True)
        assert complaint(load, spec).startswith(f"row 6 of {path} ")


def test_a_row_without_image_bytes_is_named(parquet: dict[str, Any], tmp_path: Path) -> None:
    table = pa.table({"image": [{"bytes": encoded(pixels(1)[0])}, {"bytes": None}], "label": [0, 0]})
    pq.write_table(table, tmp_path / "x.parquet")
    path = str(tmp_path / "x.parquet")
    spec = spec_of(parquet, train=path, test=path, allow_same_files=True)
    assert f"row 1 of {path} holds no image bytes" in complaint(load, spec)


def test_a_wrong_column_is_answered_with_the_columns_there_are(parquet: dict[str, Any]) -> None:
    assert complaint(load, spec_of(parquet, label="fine_label")) == (
        f"{parquet['train']} has no column 'fine_label': it has image, label; name the right one as dataset.label"
    )
    assert "name the right one as dataset.image" in complaint(load, spec_of(parquet, image="img"))
    assert "column 'label' of" in complaint(load, spec_of(parquet, image="label"))
    assert "labels must be integers" in complaint(load, spec_of(parquet, label="image"))


def test_rows_without_a_label_are_counted(parquet: dict[str, Any], tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "x.parquet", [encoded(x) for x in pixels(3)], [0, None, None])  # type: ignore[list-item]
    assert complaint(load, spec_of(parquet, train=str(path))) == (
        f"column 'label' of {path} has 2 rows without a label: fill or drop them"
    )


def test_a_file_of_another_kind_is_named(parquet: dict[str, Any], npz: Builder, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"neither Parquet nor a NumPy archive, but long enough to look at")
    assert f"{other} cannot be read as Parquet" in complaint(load, spec_of(parquet, train=str(other)))
    spec = DatasetSpec.parse({"name": "x", "format": "npz", "train": str(other), "test": str(other)})
    assert f"{other} cannot be read as an archive of plain arrays" in complaint(load, spec)
    np.save(tmp_path / "lone.npy", pixels(2))
    lone = DatasetSpec.parse({"name": "x", "format": "npz", "path": f"{tmp_path}/lone.npy"})
    message = complaint(load, lone)
    assert "lone.npy cannot be read as an archive of plain arrays (it is one array, as numpy.save writes it)" in message
    objects = npz({"images": pixels(2), "labels": np.array([0, "x"], object)})
    assert "cannot be read as an archive of plain arrays ('labels' holds Python objects)" in complaint(load, objects)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (POINTER, "is a Git LFS pointer, not the data: fetch it with git lfs pull"),
        (PAGE, "is an HTML page, perhaps a login or error page saved by the download: download it again"),
        (b'{"error": "not found"}', "is JSON, perhaps an error that a server answered in place of the data"),
        (b"", "is empty (0 bytes)"),
    ],
)
def test_what_stands_in_place_of_images_is_named(
    content: bytes, says: str, parquet: dict[str, Any], tmp_path: Path
) -> None:
    for part in ("train", "test"):
        (tmp_path / part / "a").mkdir(parents=True)
        (tmp_path / part / "a" / "1.png").write_bytes(content)
    (tmp_path / "x.npz").write_bytes(content)
    archive = DatasetSpec.parse({"name": "x", "format": "npz", "path": f"{tmp_path}/x.npz"})
    row = write_parquet(tmp_path / "x.parquet", [content] * 8, LABELS, ["cat", "dog", "frog"])
    assert complaint(load, folder_spec(tmp_path)).startswith(f"{tmp_path}/train/a/1.png {says}")
    assert complaint(load, archive).startswith(f"{tmp_path}/x.npz {says}")
    assert complaint(load, spec_of(parquet, train=str(row))).startswith(f"row 0 of {row} {says}")


def test_an_archive_in_place_of_what_is_in_it_is_to_be_unpacked(parquet: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train/a/1.png", b"")
    named = f"{path} is a zip archive: unpack it, and give what was in it"
    for format_ in ("npz", "parquet", "imagefolder"):
        spec = DatasetSpec.parse({"name": "x", "format": format_, "train": str(path), "test": str(path)})
        assert complaint(load, spec).removeprefix("dataset.train must be a folder, and ") == named


@pytest.mark.parametrize("format_", ["parquet", "npz", "imagefolder"])
def test_a_folder_that_may_not_be_entered_is_named(
    format_: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, **options: Any) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    spec = DatasetSpec.parse({"name": "x", "format": format_, "train": f"{tmp_path}/a", "test": f"{tmp_path}/b"})
    monkeypatch.setattr(Path, "stat", refuse)
    assert complaint(load, spec) == (
        f"dataset.train is {tmp_path}/a, which cannot be reached (Permission denied): mount the disk it is on, or "
        f"correct its rights or the path"
    )


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": pixels(2)}, "has no array 'labels': it has images"),
        ({"images": pixels(2) / 255, "labels": [0, 1]}, "has dtype float64: images must be uint8, 0 to 255"),
        (
            {"images": pixels(2)[..., :2], "labels": [0, 1]},
            "has shape (2, 4, 4, 2): images must be [N, H, W, 3]",
        ),
        ({"images": pixels(2), "labels": [[0, 2], [1, 2]]}, "labels must be integers [N]"),
        ({"images": pixels(2), "labels": [[0, 1], [1, 0]]}, "of one-hot labels store labels.argmax(1)"),
        ({"images": pixels(2), "labels": [0.0, 0.5]}, "has the label 0.5 (labels[1]): labels must be whole numbers"),
        ({"images": pixels(2), "labels": [0.0, np.nan]}, "has the label nan (labels[1])"),
        ({"images": pixels(2), "labels": np.array([0, 2**63], np.uint64)}, "has the label 9223372036854775808"),
        (
            {"images": pixels(2).transpose(0, 3, 1, 2), "labels": [0, 1]},
            "has shape (2, 3, 4, 4): images must be [N, H, W, 3] or [N, H, W], not channels first: store "
            "images.transpose(0, 2, 3, 1)",
        ),
        ({"images": pixels(2) / 255, "labels": [0, 1]}, "make (255 * images).round().astype('uint8')"),
        (
            {"arr_0": pixels(2), "arr_1": [0, 1]},
            "has no array 'images': it has arr_0, arr_1; give arrays their names as numpy.savez(FILE, images=…",
        ),
        ({"images": pixels(2), "labels": [0]}, "has 2 images in 'images' and 1 labels in 'labels'"),
        ({"images": pixels(2), "labels": [0, 1], "classes": [3, 4]}, "it must be a list of names"),
    ],
)
def test_arrays_that_are_no_labelled_images_are_refused(arrays: dict[str, Any], message: str, npz: Builder) -> None:
    assert message in complaint(load, npz(arrays))


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        ([], None, "the training set of 'x' is empty: it needs at least one image"),
        ([0, -1, 1], None, "the training set of 'x' has label -1 (images[1] of TRAIN): labels must count"),
        (
            [0, 2, 2],
            None,
            "the training set of 'x' has label 2 (images[1] of TRAIN) but 2 classes: labels must run",
        ),
        ([0, 1, 7], ["a", "b"], "the training set of 'x' has label 7 (images[2] of TRAIN) but 2 classes"),
        (
            [0, 2, 2],
            ["a", "b", "c"],
            "no training image of 'x' has label 1 (class 'b'): labels must run from 0 to 2",
        ),
    ],
)
def test_labels_that_do_not_count_the_classes_are_refused(
    labels: list[int], classes: list[str] | None, message: str, npz: Builder, tmp_path: Path
) -> None:
    names = {} if classes is None else {"classes": classes}
    spec = npz({"images": pixels(len(labels)), "labels": np.array(labels, np.int64), **names})
    assert message.replace("TRAIN", str(tmp_path / "train.npz")) in complaint(load, spec)


def test_a_test_set_with_other_classes_is_refused(npz: Builder, tmp_path: Path) -> None:
    train = {"images": pixels(3), "labels": [0, 1, 1]}
    beyond = npz(train, {"images": pixels(1), "labels": [2]})
    assert complaint(load, beyond) == (
        f"the test set of 'x' has label 2 (images[0] of {tmp_path}/test.npz), a class that the training set "
        "lacks: labels must run from 0 to 1, without gaps"
    )
    empty = npz(train, {"images": pixels(0), "labels": np.zeros(0, int)})
    assert "the test set of 'x' is empty" in complaint(load, empty)
    named = npz({**train, "classes": ["a", "b"]}, {**train, "classes": ["a", "c"]})
    assert "the classes of 'x' differ: only the training set has 'b'" in complaint(load, named)
    swapped = npz({**train, "classes": ["a", "b"]}, {**train, "classes": ["b", "a"]})
    assert "label 0 is 'a' in the training set and 'b' in the test set" in complaint(load, swapped)


def test_images_of_different_sizes_need_resize(parquet: dict[str, Any], tmp_path: Path) -> None:
    images = [encoded(x) for x in (*pixels(5), *pixels(3, side=6))]
    path = write_parquet(tmp_path / "x.parquet", images, LABELS, ["cat", "dog", "frog"])
    assert complaint(load, spec_of(parquet, train=str(path))) == (
        f"images differ in size: row 0 of {path} is 4x4, row 5 of {path} is 6x6: "
        "set dataset.resize to the side that all shall have, in pixels"
    )
    assert load(spec_of(parquet, train=str(path), resize=4)).train.images.shape == (8, 3, 4, 4)


def test_training_and_test_images_of_different_sizes_need_resize(npz: Builder) -> None:
    wide = np.zeros((2, 4, 9, 3), np.uint8)
    spec = npz({"images": wide, "labels": [0, 1]}, {"images": pixels(2), "labels": [0, 1]})
    message = complaint(load, spec)
    assert message.startswith("images differ in size: training images of 'x' are 9x4, test images 4x4: ")
    assert "dataset.resize" in message


@pytest.mark.parametrize(("dtype", "mode"), [(np.float32, "F"), (np.uint16, "I;16")])
def test_pixels_that_do_not_fit_a_byte_are_refused(dtype: type, mode: str, tmp_path: Path) -> None:
    for part in ("train", "test"):
        (tmp_path / part / "a").mkdir(parents=True)
        Image.fromarray(np.ones((4, 4), dtype)).save(tmp_path / part / "a" / "1.tiff")
    spec = folder_spec(tmp_path)
    message = complaint(load, spec)
    assert message.startswith(f"{tmp_path}/train/a/1.tiff has float or 16-bit values (Pillow mode {mode})")


def folder_spec(folder: Path) -> DatasetSpec:
    paths = {"train": str(folder / "train"), "test": str(folder / "test")}
    return DatasetSpec.parse({"name": "x", "format": "imagefolder", **paths})


def test_trouble_in_an_image_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "test").mkdir()
    assert complaint(load, folder_spec(tmp_path)) == (
        f"{tmp_path}/train has no subfolders: it needs one folder of images for each class"
    )
    for name in ("train/a", "train/b", "test/a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(encoded(pixels(1)[0]))
    assert "differ: only the training set has 'b'" in complaint(load, folder_spec(tmp_path))
    (tmp_path / "test/b").mkdir()
    (tmp_path / "test/b/1.png").write_bytes(encoded(pixels(1)[0]))
    (tmp_path / "train/b/2.jpg").write_bytes(b"no image")
    assert complaint(load, folder_spec(tmp_path)) == (
        f"{tmp_path}/train/b/2.jpg is not an image that Pillow can read: repair or remove it"
    )
    (tmp_path / "train/b/1.png").unlink()
    (tmp_path / "train/b/2.jpg").unlink()
    assert complaint(load, folder_spec(tmp_path)) == (
        f"{tmp_path}/train/b holds no image: put images of the class into it, or remove it"
    )


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_missing_cifar_says_what_to_set(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPBENCH_HOME", str(tmp_path / "home"))
    pattern = rf"CIFAR-100? is missing or damaged at {re.escape(str(tmp_path))}/home/data/cifar-10\S+: "
    for action, *arguments in ((load, DatasetSpec.parse(name)), (card, DatasetSpec.parse(name), tmp_path)):
        message = complaint(action, *arguments)
        assert re.match(pattern, message)
        assert message.endswith("or dataset.download to true")


def test_damaged_cifar_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(b"not what was published")
    spec = DatasetSpec.parse({"name": "cifar10", "root": str(tmp_path)})
    assert "is missing or damaged" in complaint(load_with_card, spec, tmp_path / "cards")


def test_what_stands_in_place_of_cifar_is_named(tmp_path: Path) -> None:
    spec = DatasetSpec.parse({"name": "cifar10", "root": str(tmp_path)})
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(gzip.compress(b""))
    assert complaint(load, spec) == (
        f"CIFAR-10 is missing at {tmp_path}/cifar-10-batches-py, and {tmp_path}/cifar-10-python.tar.gz is a gzip "
        f"archive: unpack it, and give what was in it"
    )
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "readme.html").write_text("<html>")
    assert "is missing or damaged" in complaint(load, spec)
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(POINTER)
    assert complaint(load, spec) == (
        f"CIFAR-10 is damaged at {tmp_path}/cifar-10-batches-py: data_batch_1 is a Git LFS pointer, not the data: "
        f"fetch it with git lfs pull"
    )


def test_cifar_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stale(path: Path) -> None:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))

    (tmp_path / "cifar-10-batches-py").mkdir()
    monkeypatch.setattr(Path, "iterdir", stale)
    assert complaint(card, DatasetSpec.parse({"name": "cifar10", "root": str(tmp_path)}), tmp_path / "cards") == (
        f"{tmp_path}/cifar-10-batches-py cannot be read (Stale file handle): mount the disk it is on, or correct its "
        f"rights"
    )


def test_a_download_that_fails_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from torchvision.datasets import CIFAR10

    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{port}/cifar.tar.gz")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        spec = DatasetSpec.parse({"name": "cifar10", "root": str(tmp_path / "root"), "download": True})
        for action, *arguments in ((load, spec), (card, spec, tmp_path / "cards")):
            message = complaint(action, *arguments)
            assert message.startswith(f"CIFAR-10 could not be downloaded to {tmp_path}/root (")
            assert message.endswith("put the folder cifar-10-batches-py there by hand")
    assert capfd.readouterr().out == ""


@pytest.mark.usefixtures("settled_files")
def test_a_card_that_cannot_be_written_is_one_sentence(parquet: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "cards").write_text("a file where the folder should be")
    assert "cannot write to" in complaint(card, spec_of(parquet), tmp_path / "cards")
