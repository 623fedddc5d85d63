"""A small clean data set, and a protected set of it in every layout that people hand on."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from bench.data.spec import DatasetSpec
from tests.making.tiny_data import encoded, write_parquet

COUNT, SIDE = 12, 8
LABELS = np.arange(COUNT) % 3
CLASSES = ("cat", "dog", "frog")


def pixels() -> np.ndarray:
    """Return clean images, uint8 [12, 8, 8, 3], which no perturbation of 8 levels takes out of 0 to 255."""
    drawn: np.ndarray = np.random.default_rng(0).integers(8, 248, (COUNT, SIDE, SIDE, 3), dtype=np.uint8)
    return drawn


def noise(seed: int = 1, size: int = 8, count: int = COUNT) -> np.ndarray:
    """Return perturbations, int64 [count, 8, 8, 3], in levels from -size to size, both of which are reached."""
    drawn: np.ndarray = np.random.default_rng(seed).integers(-size, size + 1, (count, SIDE, SIDE, 3))
    drawn[:, 0, 0, 0], drawn[:, 0, 0, 1] = size, -size
    return drawn


def protected() -> np.ndarray:
    images: np.ndarray = (pixels() + noise()).astype(np.uint8)
    return images


def clean_npz(folder: Path, images: np.ndarray | None = None, **changes: Any) -> DatasetSpec:
    """Write the clean data set, without test images."""
    path = folder / "clean.npz"
    np.savez(path, images=pixels() if images is None else images, labels=LABELS, classes=np.array(CLASSES))
    return DatasetSpec.parse({"name": "pets", "format": "npz", "train": str(path), **changes})


def write_folder(folder: Path, images: np.ndarray, ending: str = ".png") -> Path:
    for row, image in enumerate(images):
        path = folder / CLASSES[LABELS[row]] / f"{row:02}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return folder


def _npy(values: Callable[[], np.ndarray]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        np.save(folder / "brought.npy", values())
        return folder / "brought.npy"

    return write


def _npz(**arrays: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        np.savez(folder / "brought.npz", **arrays)
        return folder / "brought.npz"

    return write


def _torch(content: Callable[[], Any], ending: str = ".pt") -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        torch.save(content(), folder / f"brought{ending}")
        return folder / f"brought{ending}"

    return write


def _parquet(folder: Path) -> Path:
    return write_parquet(folder / "brought.parquet", [encoded(x) for x in protected()], LABELS.tolist(), CLASSES)


def _folder_with_a_manifest(folder: Path) -> Path:
    write_folder(folder / "brought", protected())
    (folder / "brought" / "manifest.json").write_text("{}")
    Image.fromarray(protected()[0]).save(folder / "brought" / "preview.png")
    return folder / "brought"


def _folder_with_an_archive(folder: Path) -> Path:
    (folder / "brought").mkdir()
    _npz(images=protected(), labels=LABELS, classes=np.array(CLASSES))(folder / "brought")
    return folder / "brought"


def _first(images: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


LAYOUTS: Mapping[str, Callable[[Path], Path]] = {
    "npy uint8": _npy(protected),
    "npy uint8, channels first": _npy(lambda: _first(protected())),
    "npy uint8, rows as in CIFAR's files": _npy(lambda: _first(protected()).reshape(COUNT, -1)),
    "npy float32 with white at 1": _npy(lambda: (protected() / 255).astype(np.float32)),
    "npy float64 with white at 255": _npy(lambda: protected().astype(np.float64)),
    "npy int64": _npy(lambda: protected().astype(np.int64)),
    "npy perturbation in units of 1": _npy(lambda: (noise() / 255).astype(np.float32)),
    "npy perturbation, channels first": _npy(lambda: _first(noise() / 255)),
    "npy perturbation in levels": _npy(lambda: noise().astype(np.float32)),
    "npy perturbation int8": _npy(lambda: noise().astype(np.int8)),
    "npy big-endian": _npy(lambda: (noise() / 255).astype(">f4")),
    "npz images and labels": _npz(images=protected(), labels=LABELS, classes=np.array(CLASSES)),
    "npz labels as names": _npz(images=protected(), labels=np.array([CLASSES[one] for one in LABELS])),
    "npz without names": _npz(arr_0=protected()),
    "npz as one file for both splits": _npz(x_train=protected(), y_train=LABELS, x_test=protected()[:2]),
    "pt tensor": _torch(lambda: torch.from_numpy(_first(noise() / 255)).float()),
    "pt half": _torch(lambda: torch.from_numpy(_first(noise() / 255)).half()),
    "pth bfloat16": _torch(lambda: torch.from_numpy(noise()).bfloat16(), ".pth"),
    "pt dictionary": _torch(lambda: {"epoch": 3, "noise": torch.from_numpy(noise()), "targets": LABELS.tolist()}),
    "pt dictionary within one": _torch(lambda: {"state": {"delta": torch.from_numpy(noise().astype(np.int8))}}),
    "pt images and labels": _torch(lambda: (torch.from_numpy(protected()), torch.from_numpy(LABELS))),
    "pt list of images": _torch(lambda: [torch.from_numpy(one) for one in _first(protected())]),
    "pt parameter": _torch(lambda: torch.nn.Parameter(torch.from_numpy(noise() / 255))),
    "parquet": _parquet,
    "folder": lambda folder: write_folder(folder / "brought", protected()),
    "folder as protect writes it": _folder_with_a_manifest,
    "folder with one archive": _folder_with_an_archive,
}
"""By what it is: write the protected set to a folder and return its path."""
