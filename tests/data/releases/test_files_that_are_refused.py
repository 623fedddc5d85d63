"""What is no protected set, or could do harm, is refused in one sentence before it is read."""

import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.data.releases import bring
from tests.making.brought_sets import COUNT, LABELS, clean_npz, noise, pixels, protected, write_folder
from tests.making.tiny_data import complaint, encoded, write_parquet


class Harmful:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


def refused(path: Path, folder: Path) -> str:
    return complaint(bring, path, clean_npz(folder))


def npy(path: Path, shape: str, descr: str = "<f8", content: bytes = b"\0" * 64) -> Path:
    """Write the head of an array that says what it likes, and some content."""
    head = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    head += b" " * (-(10 + len(head) + 1) % 64) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + content)
    return path


@pytest.mark.parametrize("ending", [".npy", ".npz", ".pt"])
def test_objects_are_never_made(ending: str, tmp_path: Path) -> None:
    path, mark = tmp_path / f"brought{ending}", tmp_path / "it-ran"
    content = np.array([Harmful(mark)], dtype=object)
    if ending == ".npy":
        np.save(path, content, allow_pickle=True)
    elif ending == ".npz":
        np.savez(path, images=content)
    else:
        torch.save({"noise": Harmful(mark)}, path)
    assert "could run code" in refused(path, tmp_path) or "no array of images" in refused(path, tmp_path)
    assert not mark.exists()


def test_a_plain_pickle_is_no_tensor(tmp_path: Path) -> None:
    path = tmp_path / "brought.pt"
    path.write_bytes(pickle.dumps(Harmful(tmp_path / "it-ran")))
    assert "load it and save its tensor again" in refused(path, tmp_path)
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.parametrize("shape", ["(12, 1000000, 1000000, 3)", "(4000000000, 32, 32, 3)"])
def test_an_array_that_claims_to_be_huge_is_not_allocated(shape: str, tmp_path: Path) -> None:
    assert "more than half of this machine's memory" in refused(npy(tmp_path / "brought.npy", shape), tmp_path)


def test_an_archive_whose_member_claims_to_be_huge_is_not_read(tmp_path: Path) -> None:
    member = npy(tmp_path / "images.npy", "(12, 1000000, 1000000, 3)")
    with zipfile.ZipFile(tmp_path / "brought.npz", "w") as archive:
        archive.write(member, "images.npy")
    assert "more than half of this machine's memory" in refused(tmp_path / "brought.npz", tmp_path)


def test_a_tensor_that_claims_to_be_huge_is_not_made_an_array(tmp_path: Path) -> None:
    torch.save(torch.zeros(1).expand(COUNT, 3, 500_000, 500_000), tmp_path / "brought.pt")
    assert "more than half of this machine's memory" in refused(tmp_path / "brought.pt", tmp_path)


def test_a_list_of_tensors_that_claim_to_be_huge_is_not_stacked(tmp_path: Path) -> None:
    torch.save([torch.zeros(1).expand(3, 500_000, 500_000) for _ in range(COUNT)], tmp_path / "brought.pt")
    assert "more than half of this machine's memory" in refused(tmp_path / "brought.pt", tmp_path)


@pytest.mark.parametrize("labels", [[0, 0, 1], [1, 1, 1], ["cat", "dog", "dog"]])
def test_noise_of_each_class_whose_labels_do_not_name_each_class_once_is_refused(
    labels: list[Any], tmp_path: Path
) -> None:
    np.savez(tmp_path / "brought.npz", noise=noise(count=3).astype(np.int8), labels=np.array(labels))
    assert "its labels do not name each class once" in refused(tmp_path / "brought.npz", tmp_path)


def test_an_array_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = npy(tmp_path / "brought.npy", "(12, 8, 8, 3)")
    assert (
        refused(path, tmp_path)
        == f"{path} cannot be read as an array of numbers, as numpy.save writes it: make it anew"
    )


@pytest.mark.parametrize(("ending", "content"), [(".npy", b"<html></html>"), (".npz", b""), (".pt", b'{"a": [1]}')])
def test_what_lies_there_instead_is_named(ending: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"brought{ending}"
    path.write_bytes(content)
    assert any(word in refused(path, tmp_path) for word in ("HTML", "empty", "JSON"))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (protected()[:, :, :, :2], "images and perturbations are"),
        (np.zeros((5, 8, 8, 3), np.int8) - 1, "5 perturbations, and pets has 12 training images of 3 classes"),
        (np.concatenate([protected(), protected()]), "24 images, and pets has 12 training images"),
        (protected().astype(bool), "true and false"),
        (protected().astype(str), "no array of images"),
        (protected().reshape(COUNT, -1)[:, :100], "rows of images of pets have 192 values (3x8x8)"),
        (noise()[:, :4].astype(np.int8), "perturbations of 8x4, and the clean images are 8x8"),
        (pixels(), "holds the clean images of pets as they are"),
        (np.zeros((COUNT, 0, 0, 3), np.uint8), "has shape [12, 0, 0, 3], in which there is not one pixel"),
        (np.zeros((0, 8, 8, 3), np.float32), "holds no images"),
        (noise(count=3)[:, :, :, 0].astype(np.int8), "save it as [1, 3, 8, 8] or [3, 1, 8, 8]"),
    ],
)
def test_an_array_that_is_no_protected_set_of_the_data_is_refused(
    values: np.ndarray, said: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "brought.npz", images=values)
    assert said in refused(tmp_path / "brought.npz", tmp_path)


def test_of_several_arrays_nobody_guesses(tmp_path: Path) -> None:
    np.savez(tmp_path / "brought.npz", first=protected(), second=noise())
    assert "several arrays that may be meant (first, second)" in refused(tmp_path / "brought.npz", tmp_path)


def test_of_several_sets_in_a_folder_nobody_guesses(tmp_path: Path) -> None:
    (tmp_path / "brought").mkdir()
    for name in ("a", "b"):
        np.save(tmp_path / "brought" / f"{name}.npy", protected())
    assert "several protected sets (a.npy, b.npy): name one of them" in refused(tmp_path / "brought", tmp_path)


def test_a_path_where_nothing_is_and_a_file_of_another_kind_are_named(tmp_path: Path) -> None:
    assert refused(tmp_path / "nowhere", tmp_path) == f"there is no protected set at {tmp_path}/nowhere: check the path"
    (tmp_path / "brought.txt").write_text("hello")
    assert "is no protected set that can be read" in refused(tmp_path / "brought.txt", tmp_path)


def test_a_class_that_the_clean_data_lacks_is_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "brought", protected())
    (folder / "frog").rename(folder / "toad")
    (folder / "newt").mkdir()
    (folder / "toad" / "02.png").rename(folder / "newt" / "02.png")
    assert "has a class 'newt', which pets has not" in refused(folder, tmp_path)


def test_labels_beyond_the_classes_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "brought.npz", images=protected(), labels=LABELS + 1)
    assert "labels from 1 to 3, and pets has 3 classes, from 0 to 2" in refused(tmp_path / "brought.npz", tmp_path)


def test_of_parquet_in_several_folders_nobody_guesses(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / "brought" / name).mkdir(parents=True)
        write_parquet(tmp_path / "brought" / name / "train.parquet", [encoded(x) for x in protected()], LABELS.tolist())
    assert "in several folders (first, second): name the one that is meant" in refused(tmp_path / "brought", tmp_path)


def test_a_folder_with_nothing_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "brought").mkdir()
    assert "holds no images and no folders of images" in refused(tmp_path / "brought", tmp_path)
