"""Image files sorted into one folder a class."""

import unicodedata
from pathlib import Path

import numpy as np
from PIL import Image

from bench.api import DATASETS, DatasetPlugin, Params, SepbenchError, Source, decode
from bench.data.formats._paths import existing_folder


class ImageFolderParams(Params):
    """The two folders."""

    train: str
    test: str


@DATASETS.register("imagefolder")
class ImageFolder(DatasetPlugin[ImageFolderParams]):
    """A training and a test folder, each with one subfolder of images a class.

    Classes are the subfolders in the order of their names, images the files below them whose extension Pillow
    reads. Hidden files and folders are passed over.
    """

    def open(self) -> tuple[Source, Source]:
        """Return the training and the test split; reads no image."""
        return _source(existing_folder("train", self.params.train)), _source(existing_folder("test", self.params.test))

    def files(self) -> list[Path]:
        """Return every image file of both folders."""
        folders = existing_folder("train", self.params.train), existing_folder("test", self.params.test)
        return [path for folder in folders for images in _by_class(folder).values() for path in images]


def _source(folder: Path) -> Source:
    by_class = _by_class(folder)
    paths = [path for images in by_class.values() for path in images]
    counts = [len(images) for images in by_class.values()]
    return Source(
        labels=np.repeat(np.arange(len(counts)), counts),
        classes=tuple(by_class),
        read=lambda positions: (decode(paths[position], str(paths[position])) for position in positions),
        where=lambda position: str(paths[position]),
    )


def _by_class(folder: Path) -> dict[str, list[Path]]:
    readable = _readable_extensions()
    by_class: dict[str, list[Path]] = {}
    subfolders = (path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    for subfolder in sorted(subfolders, key=lambda path: (unicodedata.normalize("NFC", path.name), path)):
        by_class[subfolder.name] = sorted(
            path
            for path in subfolder.rglob("*")
            if path.suffix.lower() in readable and not path.name.startswith(".") and path.is_file()
        )
    if not by_class:
        raise SepbenchError(f"{folder} has no subfolders: it needs one folder of images for each class")
    return by_class


def _readable_extensions() -> set[str]:
    return {extension for extension, kind in Image.registered_extensions().items() if kind in Image.OPEN}
