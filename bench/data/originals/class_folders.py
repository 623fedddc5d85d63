"""Pictures sorted into one folder a class."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from bench.core.disk import make_folder, write_atomically, writing
from bench.core.errors import SepbenchError
from bench.core.paths import stands
from bench.data.originals.encoding import ENDINGS, encode
from bench.data.originals.journal import Written
from bench.data.originals.originals import Originals
from bench.data.originals.picture import Picture, picture_of
from bench.data.originals.writer import Output, Writer, keep_apart

_LONGEST_NAME = 255  # bytes


class ClassFolderOriginals(Originals):
    """The images below a folder of class folders, which `imagefolder` finds."""

    format = "imagefolder"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._paths = self._plugin.files()[: len(self)]
        self.names = tuple(path.relative_to(self.path.absolute()).as_posix() for path in self._paths)

    def picture(self, index: int) -> Picture:
        """Return a picture, decoded."""
        path, where = self._paths[index], self.source.where(index)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise SepbenchError(f"{where} cannot be read ({error.strerror}): make it readable or remove it") from error
        return picture_of(data, where)

    def writer(self, output: Output) -> Writer:
        """Return what writes one file for each picture, under the same name with the ending of `form`."""
        keep_apart(output.folder, self.path)
        self.refuse_alpha(output.form)
        return _FileWriter(self.names, output)


class _FileWriter(Writer):
    def __init__(self, names: tuple[str, ...], output: Output) -> None:
        super().__init__(output)
        self._names, ending = names, ENDINGS[output.form]
        self.files = written_names(names, ending)
        _refuse_long(names, self.files)
        self.remarks = tuple(_on_names(names, self.files, ending))

    def done(self, index: int) -> Written | None:
        """Return what was written of a picture, where the file holds it still."""
        found = self.journal.find(self._names[index])
        return found if found is not None and stands(self.out / found.file, found.sha256_out) else None

    def write(self, index: int, picture: Picture, protected: NDArray[np.uint8]) -> Written:
        """Write the file of a picture."""
        made = encode(picture, protected, self.form, self.quality)
        written = Written(
            self._names[index],
            self.files[index],
            picture.sha256,
            hashlib.sha256(made.data).hexdigest(),
            made.notes,
            self.measure(picture.rgb, made.rgb),
        )
        path = self.out / self.files[index]
        with writing(self.out, "--out"):
            make_folder(path.parent)
            write_atomically(path, made.data, durable=False)
            self.journal.add(written)
        return written


def written_names(names: tuple[str, ...], ending: str) -> tuple[str, ...]:
    """Return under which names pictures are written: their own, with another ending.

    Where several would be called alike, on systems for which capitals make no difference, too, one whose name stays as
    it is keeps it, or else one that has this ending in other letters; the others keep their own endings before the new
    one: `a.jpg.png`.
    """
    plain = [str(PurePosixPath(name).with_suffix(ending)) for name in names]
    shared = Counter(map(str.casefold, plain))
    own = [PurePosixPath(name).suffix.lower() == ending for name in names]
    alone = [shared[name.casefold()] == 1 for name in plain]
    taken: set[str] = set()
    chosen = [""] * len(names)
    # Those that keep their names choose first, so that nothing depends on what else lies before them.
    for index in sorted(range(len(names)), key=lambda i: (not alone[i], plain[i] != names[i], not own[i])):
        wished = [plain[index]] if alone[index] or own[index] else []
        numbered = (f"{names[index]}-{number}{ending}" for number in count(2))
        wishes = chain(wished, [f"{names[index]}{ending}"], numbered)
        chosen[index] = next(name for name in wishes if name.casefold() not in taken)
        taken.add(chosen[index].casefold())
    return tuple(chosen)


def _refuse_long(names: tuple[str, ...], files: tuple[str, ...]) -> None:
    for name, file in zip(names, files, strict=True):
        if len(os.fsencode(PurePosixPath(file).name)) > _LONGEST_NAME:
            raise SepbenchError(
                f"{name} would be written as {PurePosixPath(file).name}, a name of more than {_LONGEST_NAME} bytes, "
                f"which no disk takes: give the original a shorter name"
            )


def _on_names(names: tuple[str, ...], files: tuple[str, ...], ending: str) -> Iterator[str]:
    pairs = zip(names, files, strict=True)
    apart = [pair for pair in pairs if pair[1] != str(PurePosixPath(pair[0]).with_suffix(ending))]
    if apart:
        others = f", and {len(apart) - 1:,} more likewise" if len(apart) > 1 else ""
        yield f"{apart[0][0]} is written as {apart[0][1]}{others}, as another picture has its name with {ending}"
