"""Image files sorted into one folder a class."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from bench.api import DATASETS, DatasetPlugin, Params, SepbenchError, Source, decode
from bench.data.formats._folders import ClassFolders, kinds_of, look_through, shown
from bench.data.formats._paths import existing_folder


class ImageFolderParams(Params):
    """The two folders; without test images the one."""

    train: str
    test: str | None = None


@DATASETS.register("imagefolder")
class ImageFolder(DatasetPlugin[ImageFolderParams]):
    """A training and a test folder, or only the former, each with one subfolder of images a class.

    Classes are the subfolders in the order of their names; where all are whole numbers in the order of these, 2 before
    10. Images are the files at any depth below them whose ending Pillow reads. Links are followed. What cannot be
    reached is an error, and so is an image of a kind that cannot be read here, such as HEIC, unless the same name lies
    beside it in a kind that can. Hidden files and folders, those that systems make for themselves such as `__MACOSX`,
    files that are no images, and images outside of a class are passed over and counted.
    """

    version = 2  # classes that are numbers stand in the order of these

    def open(self) -> tuple[Source, Source | None]:
        """Return the training and the test split; reads no image."""
        train, *rest = self._splits
        for folder in (Path(self.params.train) / name for name, images in train.images.items() if not images):
            other = [path.name for path in train.other if path.is_relative_to(folder)]
            without = f"no image, only files of other kinds such as {other[0]}" if other else "no image"
            raise SepbenchError(f"{folder} holds {without}: put images of the class into it, or remove it")
        test = [_source(Path(str(self.params.test)), split) for split in rest]
        return _source(Path(self.params.train), train), test[0] if test else None

    def files(self) -> list[Path]:
        """Return every image file of the folders."""
        return [path for split in self._splits for images in split.images.values() for path in images]

    def remarks(self) -> tuple[str, ...]:
        """Return what was passed over in the folders, in one sentence."""
        parts = list(_passed_over(*self._splits))
        return (f"passed over {', '.join(parts)}",) if parts else ()

    @cached_property
    def _splits(self) -> list[ClassFolders]:
        fields = ("train",) if self.params.test is None else ("train", "test")
        return [look_through(existing_folder(field, getattr(self.params, field))) for field in fields]


def _passed_over(*splits: ClassFolders) -> Iterator[str]:
    hidden, second, other, stray, empty = (
        [path for split in splits for path in getattr(split, left_out)]
        for left_out in ("hidden", "second", "other", "stray", "empty")
    )
    not_read = f"of kinds that cannot be read here ({kinds_of(second)}), beside one of the same name"
    for one, several, found in (
        ("hidden or system file or folder", "hidden or system files and folders", hidden),
        (f"image {not_read}", f"images {not_read}", second),
        ("file that is no image", "files that are no images", other),
        ("image outside of a class", "images outside of a class", stray),
        ("empty folder", "empty folders", empty),
    ):
        if len(found) == 1:
            yield f"1 {one} ({shown(found[0])})"
        elif found:
            yield f"{len(found):,} {several} (the first is {shown(found[0])})"


def _source(folder: Path, split: ClassFolders) -> Source:
    paths = [path for images in split.images.values() for path in images]
    counts = [len(images) for images in split.images.values()]
    return Source(
        labels=np.repeat(np.arange(len(counts)), counts),
        classes=tuple(split.images),
        read=lambda positions: (decode(paths[position], shown(paths[position])) for position in positions),
        where=lambda position: shown(paths[position]),
        paths=(folder,),
    )
