"""What every set of original pictures offers, however it is stored."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.contracts.dataset import DATASETS
from bench.core.errors import SepbenchError
from bench.data.checks import check_labels, with_composed_names
from bench.data.originals.picture import Picture
from bench.data.originals.survey import Survey, survey
from bench.data.originals.writer import Output, Writer
from bench.data.spec import DatasetSpec


class Originals(ABC):
    """Labelled pictures at their own sizes, in the order in which the data-set format of the same files lists them.

    Nothing is decoded until it is asked for, and nothing is ever written to where they lie.

    Attributes
    ----------
    format
        The data-set format of the same files: `imagefolder`, `parquet` or `npz`.
    path
        What a person named.
    names
        Of each picture: relative to `path`, unique, with `/`.
    labels
        int64 [N], positions in `classes`.
    classes
        Class names.
    remarks
        What was passed over, clauses without a point.
    source
        The same pictures as the data-set format opened them.

    """

    format: ClassVar[str]
    names: tuple[str, ...]

    def __init__(self, path: Path) -> None:
        self.path = path
        spec = self.spec()
        plugin = DATASETS.get(spec.format)
        self._plugin = plugin(plugin.Params.model_validate(spec.params))
        self.source = with_composed_names(spec.name, "training", self._plugin.open()[0])
        check_labels(spec.name, self.source, self.source)
        self._surveyed: Survey | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def labels(self) -> NDArray[np.int64]:
        """Labels, int64 [N]."""
        return self.source.labels

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names."""
        return self.source.classes

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was passed over, clauses without a point."""
        return self._plugin.remarks()

    def spec(self, **fields: Any) -> DatasetSpec:
        """Return the same pictures as a data set with a training part only; `fields` are further ones of the spec."""
        path = self.path.absolute()
        name = path.name if path.is_dir() else path.stem
        return DatasetSpec.parse({"name": name, "format": self.format, "train": str(path), **fields})

    @abstractmethod
    def picture(self, index: int) -> Picture:
        """Return a picture, decoded; asked for in ascending order each is read once.

        Raises `SepbenchError` that names it where it cannot be decoded, `Unfit` where it cannot be protected without
        losing some of it.
        """

    def survey(self, progress: Callable[[int], object] | None = None) -> Survey:
        """Decode every picture once, and return what they are like; `progress` is told how many are done.

        Raises `SepbenchError` where some cannot be decoded, or not be protected without loss: the first is named, the
        others are counted.
        """
        if self._surveyed is None:
            self._surveyed = survey(self._each(progress or (lambda done: None)), self.names, self._archives())
        return self._surveyed

    def refuse_alpha(self, form: str) -> None:
        """Raise `SepbenchError` where pictures have alpha that a form of output cannot hold."""
        if form != "jpeg" or not (found := self.survey().transparent):
            return
        others = f" and {len(found) - 1:,} more have" if len(found) > 1 else " has"
        raise SepbenchError(f"{self.names[found[0]]}{others} an alpha channel, which JPEG cannot hold: write PNG")

    def _archives(self) -> Sequence[Path]:
        """Return the files that hold many pictures, and more than pictures."""
        return ()

    def _each(self, progress: Callable[[int], object]) -> Iterator[Picture | SepbenchError]:
        for index in range(len(self)):
            try:
                yield self.picture(index)
            except SepbenchError as error:
                yield error
            progress(index + 1)

    @abstractmethod
    def writer(self, output: Output) -> Writer:
        """Return what writes protected pictures to a folder once it has claimed it; until then it only reads.

        Raises `SepbenchError` where the folder is another's, or where the originals lie; or where its form cannot hold
        them.
        """
