"""A tiny data set on disk in every format that reads files."""

import hashlib
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torchvision import datasets

from tests.making.tiny_data import LABELS, encoded, pets, pixels


def write_cifar(
    name: str, folder: Path, patch: pytest.MonkeyPatch, images: np.ndarray, labels: Mapping[str, list[int]]
) -> dict[str, Any]:
    """Write files as torchvision reads them, and let it take their checksums for the published ones.

    Parameters
    ----------
    name
        `cifar10` or `cifar100`.
    images
        uint8 [N, 32, 32, 3], of all files in turn.
    labels
        By file, `test` for the test set and anything else for a part of the training set: a label for each image, 0 or
        1, called `cat` and `dog`.

    """
    kind = getattr(datasets, name.upper())
    (folder / kind.base_folder).mkdir(parents=True)

    def add(file: str, content: Mapping[str, Any]) -> str:
        path = folder / kind.base_folder / file
        path.write_bytes(pickle.dumps(content))
        return hashlib.md5(path.read_bytes()).hexdigest()

    rows = iter(images.transpose(0, 3, 1, 2).reshape(len(images), -1))
    label_key = "labels" if name == "cifar10" else "fine_labels"
    listed = [
        [file, add(file, {"data": np.stack([next(rows) for _ in of_file]), label_key: of_file})]
        for file, of_file in labels.items()
    ]
    meta = {"filename": "meta", "md5": add("meta", {kind.meta["key"]: ["cat", "dog"]})}
    patch.setattr(kind, "meta", {**kind.meta, **meta})
    patch.setattr(kind, "train_list", [one for one in listed if one[0] != "test"])
    patch.setattr(kind, "test_list", [one for one in listed if one[0] == "test"])
    return {"name": name, "root": str(folder)}


def _cifar(name: str) -> Callable[[Path, pytest.MonkeyPatch], dict[str, Any]]:
    labels = {"first": [1, 0], "second": [0, 1, 1], "test": [1, 0, 0]}
    return lambda folder, patch: write_cifar(name, folder, patch, pixels(8, side=32), labels)


def _image_folder(folder: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    images = iter(pixels(10))
    for split, counts in (("train", (4, 2)), ("test", (3, 1))):
        for name, count in zip(("cat", "dog"), counts, strict=True):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                (folder / split / name / f"{number}.png").write_bytes(encoded(next(images)))
    return {"name": "imagefolder", "train": str(folder / "train"), "test": str(folder / "test")}


def _npz(folder: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    folder.mkdir()
    np.savez(folder / "train.npz", images=pixels(8), labels=LABELS)
    np.savez(folder / "test.npz", images=pixels(4, seed=1), labels=LABELS[:4])
    return {"name": "npz", "train": str(folder / "train.npz"), "test": str(folder / "test.npz")}


def _parquet(folder: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    folder.mkdir()
    return pets(folder)


WRITERS: dict[str, Callable[[Path, pytest.MonkeyPatch], dict[str, Any]]] = {
    "cifar10": _cifar("cifar10"),
    "cifar100": _cifar("cifar100"),
    "imagefolder": _image_folder,
    "npz": _npz,
    "parquet": _parquet,
}
"""By format: write a data set into a folder, which is made and holds nothing else, and return its mapping."""
