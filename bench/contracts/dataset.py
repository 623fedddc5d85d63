"""What every data-set format provides."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

from bench.plugin import Plugin

if TYPE_CHECKING:
    from bench.data.images import Source


class DatasetPlugin(Plugin, ABC):
    """Base of the data-set formats. Paths are `str` parameters, with `~` and `${NAME}` already expanded.

    Both methods raise `SepbenchError` where a file is missing or is not what it should be.
    """

    @abstractmethod
    def open(self) -> "tuple[Source, Source]":
        """Return the training and the test split without decoding images."""

    @abstractmethod
    def files(self) -> list[Path]:
        """Return every file whose content decides the data; none where the data comes with a library."""
