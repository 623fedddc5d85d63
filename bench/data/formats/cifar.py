"""CIFAR-10 and CIFAR-100 from the lossless files that torchvision downloads."""

import contextlib
import io
import os
import tarfile
from http.client import HTTPException
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from bench.api import DATASETS, KNOWN, DatasetPlugin, NotHere, Params, SepbenchError, Source, what_it_is


class CifarParams(Params):
    """Where the files are.

    Attributes
    ----------
    root
        Folder that holds, or will hold, the unpacked archive; `data` in sepbench's home by default.
    download
        Whether to fetch the archive, about 170 MB, where it is missing.

    """

    root: str | None = None
    download: bool = False


class _Cifar(DatasetPlugin[CifarParams]):
    """What both have in common: the folder, the download, torchvision's checksums."""

    title: ClassVar[str]
    torchvision_class: ClassVar[str]
    folder: ClassVar[str]
    archive: ClassVar[str]

    def open(self) -> tuple[Source, Source]:
        """Return the training and the test split, after torchvision has verified the files."""
        return self._source(train=True), self._source(train=False)

    def files(self) -> list[Path]:
        """Return the files of the unpacked archive; downloads it first where that is asked for."""
        folder = self._root() / self.folder
        try:
            if not folder.is_dir():
                if not self.params.download:
                    raise (NotHere if self.params.root is None else SepbenchError)(self._missing())
                self._source(train=False)
            return sorted(path for path in folder.iterdir() if path.is_file())
        except OSError as error:
            raise SepbenchError(
                f"{folder} cannot be read ({error.strerror}): mount the disk it is on, or correct its rights"
            ) from error

    def _root(self) -> Path:
        home = os.environ.get("SEPBENCH_HOME") or ".sepbench"
        return Path(self.params.root or Path(home) / "data")

    def _source(self, *, train: bool) -> Source:
        from torchvision import datasets

        kind = getattr(datasets, self.torchvision_class)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                data = kind(self._root(), train=train, download=self.params.download)
        except (OSError, RuntimeError, EOFError, HTTPException, tarfile.TarError) as error:
            if not self.params.download:
                raise SepbenchError(self._missing()) from error
            raise SepbenchError(
                f"{self.title} could not be downloaded to {self._root()} ({error}): check the network, "
                f"or put the folder {self.folder} there by hand"
            ) from error
        return Source(
            labels=np.asarray(data.targets, np.int64),
            classes=tuple(data.classes),
            read=lambda positions: (Image.fromarray(data.data[position]) for position in positions),
        )

    def _missing(self) -> str:
        folder = self._root() / self.folder
        archive = self._root() / self.archive
        if not folder.is_dir() and archive.is_file() and (named := what_it_is(archive)):
            return f"{self.title} is missing at {folder}, and {archive} {named}"
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.suffix != ".html" and (named := what_it_is(path)):  # the archive has a page on itself
                return f"{self.title} is damaged at {folder}: {path.name} {named}"
        return (
            f"{self.title} is missing or damaged at {folder}: set dataset.root to the folder that holds "
            f"{self.folder}, or dataset.download to true"
        )


@DATASETS.register("cifar10")
class Cifar10(_Cifar):
    """CIFAR-10, colour 32x32: 50,000 training and 10,000 test images of 10 classes, lossless."""

    title = "CIFAR-10"
    torchvision_class = "CIFAR10"
    folder = "cifar-10-batches-py"
    archive = "cifar-10-python.tar.gz"
    known = KNOWN["cifar10"]


@DATASETS.register("cifar100")
class Cifar100(_Cifar):
    """CIFAR-100, colour 32x32: 50,000 training and 10,000 test images of 100 fine classes, lossless."""

    title = "CIFAR-100"
    torchvision_class = "CIFAR100"
    folder = "cifar-100-python"
    archive = "cifar-100-python.tar.gz"
    known = KNOWN["cifar100"]
