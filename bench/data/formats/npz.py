"""NumPy archives of raw pixels."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import model_validator

from bench.api import DATASETS, DatasetPlugin, Params, SepbenchError, Source, refuse_large_archive, what_it_is
from bench.data.formats._classes import Labelled, Stored, own_classes, shared_classes, whole_numbers
from bench.data.formats._mistaken import its_text, what_is_there
from bench.data.formats._paths import existing_file
from bench.data.formats._texts import checked_text


class NpzParams(Params):
    """Either `train` and `test`, where there are test images, or `path`."""

    train: str | None = None
    test: str | None = None
    path: str | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        separate = self.train is not None and self.path is None
        together = self.path is not None and self.train is None and self.test is None
        if not (separate or together):
            raise ValueError("give either train and test, or path for one file with both")
        return self


@DATASETS.register("npz")
class Npz(DatasetPlugin[NpzParams]):
    """NumPy archives: uint8 images, labels, optionally `classes` with their names.

    Either a training and a test file, or only the former, with `images` and `labels` each, or one file with `x_train`,
    `y_train`, `x_test` and `y_test`. Images are [N, H, W, 3], [N, H, W] or [N, H, W, 1], labels whole numbers or names
    of classes, [N] or [N, 1].
    """

    def open(self) -> tuple[Source, Source | None]:
        """Return the training and the test split; the arrays are read whole."""
        if self.params.path is None and self.params.test is None:
            file = self.files()[0]
            alone = _Part.read(file, "images", "labels")
            return alone.source(own_classes(alone.stored), (file,)), None
        separate = self.params.path is None
        names = [("images", "labels")] * 2 if separate else [("x_train", "y_train"), ("x_test", "y_test")]
        files = self.files() if separate else self.files() * 2
        train, test = (_Part.read(file, *pair) for file, pair in zip(files, names, strict=True))
        train_labelled, test_labelled = shared_classes(train.stored, test.stored)
        paths = [(file,) for file in files] if separate else [(), ()]
        return train.source(train_labelled, paths[0]), test.source(test_labelled, paths[1])

    def files(self) -> list[Path]:
        """Return the two files, or the one."""
        given = {name: getattr(self.params, name) for name in ("train", "test", "path")}
        return [existing_file(name, path) for name, path in given.items() if path is not None]


@dataclass(frozen=True, eq=False)
class _Part:
    """One split: images uint8 [N, H, W, 3] or [N, H, W], and their labels."""

    images: NDArray[np.uint8]
    stored: Stored

    @classmethod
    def read(cls, path: Path, image_name: str, label_name: str) -> "_Part":
        arrays = _arrays(path, image_name, label_name)
        names = arrays.get("classes")
        if names is not None and (names.ndim != 1 or names.dtype.kind != "U"):
            raise SepbenchError(f"'classes' of {path} has dtype {names.dtype}: it must be a list of names")
        images = _images(f"'{image_name}' of {path}", arrays[image_name])
        labels = _labels(f"'{label_name}' of {path}", arrays[label_name], lambda row: f"{label_name}[{row}]")
        if len(images) != len(labels):
            raise SepbenchError(
                f"{path} has {len(images)} images in '{image_name}' and {len(labels)} labels in '{label_name}': "
                f"it needs one label for each image"
            )
        classes = None if names is None else tuple(map(str, checked_text(names, f"'classes' of {path}").tolist()))
        return cls(images, Stored(labels, classes, lambda position: f"{image_name}[{position}] of {path}"))

    def source(self, labelled: Labelled, paths: tuple[Path, ...]) -> Source:
        return Source(
            labels=labelled.labels,
            classes=labelled.classes,
            read=lambda positions: (Image.fromarray(self.images[position]) for position in positions),
            where=self.stored.where,
            paths=paths,
        )


def _arrays(path: Path, image_name: str, label_name: str) -> dict[str, NDArray[Any]]:
    name = None
    refuse_large_archive(path, [image_name, label_name, "classes"])
    try:
        with np.load(path, allow_pickle=False) as archive:
            present = archive.files
            arrays = {}
            for name in set(present) & {image_name, label_name, "classes"}:
                arrays[name] = np.asanyarray(archive[name])
    except PermissionError as error:
        raise SepbenchError(f"{path} cannot be read ({error.strerror}): make it readable") from error
    except Exception as error:  # what a broken file makes of a reader is without bounds
        if named := what_is_there(path, "npz"):
            raise SepbenchError(f"{path} {named}") from error
        raise SepbenchError(
            f"{path} cannot be read as an archive of plain arrays{_why(path, name, error)}: make it with numpy.savez"
        ) from error
    for name in (image_name, label_name):
        if name not in arrays:
            if named := what_it_is(path):  # a zip archive of other files is read without an error
                raise SepbenchError(f"{path} {named}")
            raise SepbenchError(
                f"{path} has no array '{name}': it has {', '.join(present) or 'none'}{_unnamed(present)}"
            )
    return arrays


def _why(path: Path, name: str | None, error: Exception) -> str:
    if name is not None:
        objects = "Object arrays" in str(error)
        return f" ('{name}' {'holds Python objects' if objects else 'is damaged'})"
    with path.open("rb") as file:
        lone = file.read(6) == b"\x93NUMPY"
    reason = "it is one array, as numpy.save writes it" if lone else its_text(path)
    return f" ({reason})" if reason else ""


def _unnamed(present: list[str]) -> str:
    return "; give arrays their names as numpy.savez(FILE, images=…, labels=…) does" if "arr_0" in present else ""


def _images(what: str, images: NDArray[Any]) -> NDArray[np.uint8]:
    shape = images.shape
    if images.size == 0 and len(shape) > 0 and shape[0] == 0:
        return np.empty((0, 1, 1), np.uint8)
    if images.dtype != np.uint8:
        fraction = images.dtype.kind == "f" and images.size and images.min() >= 0 and images.max() <= 1
        how = "; of values from 0 to 1 make (255 * images).round().astype('uint8')" if fraction else ""
        raise SepbenchError(f"{what} has dtype {images.dtype}: images must be uint8, 0 to 255{how}")
    if len(shape) == 4 and shape[3] == 1:
        return images[..., 0]
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] != 3):
        first = len(shape) == 4 and shape[1] in (1, 3)
        how = ", not channels first: store images.transpose(0, 2, 3, 1)" if first else ""
        raise SepbenchError(f"{what} has shape {shape}: images must be [N, H, W, 3] or [N, H, W]{how}")
    return images


def _labels(what: str, labels: NDArray[Any], where: Callable[[int], str]) -> NDArray[Any]:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or (labels.dtype.kind not in "biufU" and len(labels)):
        one_hot = labels.ndim == 2 and labels.dtype.kind in "biuf" and (labels.sum(1) == 1).all()
        raise SepbenchError(
            f"{what} has dtype {labels.dtype} and shape {labels.shape}: labels must be integers [N], or names of "
            f"classes{'; of one-hot labels store labels.argmax(1)' if one_hot else ''}"
        )
    if labels.dtype.kind == "U":
        return labels.astype(object)
    return whole_numbers(labels, what, where)
