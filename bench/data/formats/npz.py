"""NumPy archives of raw pixels."""

import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import model_validator

from bench.api import DATASETS, DatasetPlugin, Params, SepbenchError, Source
from bench.data.formats._classes import shared_classes
from bench.data.formats._paths import existing_file


class NpzParams(Params):
    """Either `train` and `test`, or `path`."""

    train: str | None = None
    test: str | None = None
    path: str | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        pair = self.train is not None and self.test is not None
        none_of_pair = self.train is None and self.test is None
        if not (pair and self.path is None) and not (none_of_pair and self.path is not None):
            raise ValueError("give either train and test, or path for one file with both")
        return self


@DATASETS.register("npz")
class Npz(DatasetPlugin[NpzParams]):
    """NumPy archives: uint8 images, integer labels, optionally `classes` with their names.

    Either a training and a test file with `images` and `labels` each, or one file with `x_train`, `y_train`,
    `x_test` and `y_test`. Images are [N, H, W, 3] or [N, H, W], labels [N].
    """

    def open(self) -> tuple[Source, Source]:
        """Return the training and the test split; the arrays are read whole."""
        separate = self.params.path is None
        names = [("images", "labels")] * 2 if separate else [("x_train", "y_train"), ("x_test", "y_test")]
        files = self.files() if separate else self.files() * 2
        train, test = (_Part.read(file, *pair) for file, pair in zip(files, names, strict=True))
        train_classes, test_classes = shared_classes(train.classes, test.classes, train.labels)
        return train.source(train_classes), test.source(test_classes)

    def files(self) -> list[Path]:
        """Return the two files, or the one."""
        names = ("train", "test") if self.params.path is None else ("path",)
        return [existing_file(name, getattr(self.params, name)) for name in names]


@dataclass(frozen=True, eq=False)
class _Part:
    """One split: images uint8 [N, H, W, 3] or [N, H, W], labels int64 [N], class names or None."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...] | None
    where: Callable[[int], str]

    @classmethod
    def read(cls, path: Path, image_name: str, label_name: str) -> "_Part":
        try:
            with np.load(path, allow_pickle=False) as archive:
                present = archive.files
                arrays = {name: archive[name] for name in present if name in (image_name, label_name, "classes")}
        # TypeError: a lone array, as numpy.save writes it, cannot be entered.
        except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
            raise SepbenchError(
                f"{path} cannot be read as an archive of plain arrays: make it with numpy.savez"
            ) from error
        for name in (image_name, label_name):
            if name not in arrays:
                raise SepbenchError(f"{path} has no array '{name}': it has {', '.join(present)}")
        images, labels = arrays[image_name], arrays[label_name]
        _check(path, image_name, images, label_name, labels)
        names = arrays.get("classes")
        if names is not None and (names.ndim != 1 or names.dtype.kind != "U"):
            raise SepbenchError(f"'classes' of {path} has dtype {names.dtype}: it must be a list of names")
        return cls(
            images=images,
            labels=labels.astype(np.int64),
            classes=None if names is None else tuple(map(str, names.tolist())),
            where=lambda position: f"{image_name}[{position}] of {path}",
        )

    def source(self, classes: tuple[str, ...]) -> Source:
        return Source(
            labels=self.labels,
            classes=classes,
            read=lambda positions: (Image.fromarray(self.images[position]) for position in positions),
            where=self.where,
        )


def _check(path: Path, image_name: str, images: NDArray[Any], label_name: str, labels: NDArray[Any]) -> None:
    if images.dtype != np.uint8:
        raise SepbenchError(f"'{image_name}' of {path} has dtype {images.dtype}: images must be uint8, 0 to 255")
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] != 3):
        raise SepbenchError(
            f"'{image_name}' of {path} has shape {images.shape}: images must be [N, H, W, 3] or [N, H, W]"
        )
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise SepbenchError(
            f"'{label_name}' of {path} has dtype {labels.dtype} and shape {labels.shape}: labels must be integers [N]"
        )
    if len(images) != len(labels):
        raise SepbenchError(
            f"{path} has {len(images)} images in '{image_name}' and {len(labels)} labels in '{label_name}': "
            f"it needs one label for each image"
        )
