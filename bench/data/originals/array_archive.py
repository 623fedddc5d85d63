"""Pictures in an archive of arrays."""

import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.core.disk import make_folder, temporary_beside, writing
from bench.core.errors import SepbenchError
from bench.core.paths import file_digest, stands
from bench.data.originals.encoding import is_grey
from bench.data.originals.journal import Written
from bench.data.originals.originals import Originals
from bench.data.originals.picture import Picture
from bench.data.originals.writer import Output, Writer, keep_apart

_MEMBER = "images.npy"


class ArchiveOriginals(Originals):
    """The array `images` of an npz archive, with labels and all else that is in it, as `npz` reads it."""

    format = "npz"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with np.load(path, allow_pickle=False) as archive:
            self._images: NDArray[np.uint8] = archive["images"]
        self.names = tuple(f"images[{index}]" for index in range(len(self)))

    def picture(self, index: int) -> Picture:
        """Return a picture."""
        stored = self._images[index]
        grey = stored.ndim == 2 or stored.shape[2] == 1
        digest = hashlib.sha256(stored.tobytes()).hexdigest()
        rgb = np.repeat(stored.reshape(*stored.shape[:2], 1), 3, 2) if grey else stored.copy()
        return Picture(rgb=rgb, alpha=None, grey=grey, sha256=digest)

    def _archives(self) -> Sequence[Path]:
        return [self.path]

    def writer(self, output: Output) -> Writer:
        """Return what writes an archive of the same name with other images: all other arrays stay as they are.

        Grey images stay so where each protected one is grey, else all become RGB.
        """
        refuse_jpeg(self.path, output.form)
        keep_apart(output.folder, self.path)
        return _ArchiveWriter(self.path, self._images.shape, output)


def refuse_jpeg(path: Path, form: str) -> None:
    """Raise `SepbenchError` where JPEG is asked for what cannot hold it, an archive of arrays."""
    if form == "jpeg" and path.suffix.lower() == ".npz":
        raise SepbenchError(f"{path} holds pixels, and an archive of pixels is no JPEG: leave out the format")


class _ArchiveWriter(Writer):
    """Writes the archive when its last picture has come."""

    def __init__(self, path: Path, shape: tuple[int, ...], output: Output) -> None:
        super().__init__(output)
        self._path, self._shape = path, shape
        self.files = tuple(f"{path.name}#{index}" for index in range(shape[0]))
        self._whole = False
        self._images = np.empty((0, *shape[1:3], 3), np.uint8)
        self._noted: list[Written] = []

    def claim(self) -> None:
        """Make the folder, and this writer the only one there; raises `SepbenchError` where another one writes."""
        super().claim()
        whole = self.journal.find(self._path.name)
        self._whole = whole is not None and stands(self.out / self._path.name, whole.sha256_out)
        if not self._whole:
            self._images = np.empty((self._shape[0], *self._images.shape[1:]), np.uint8)

    def archives(self) -> tuple[Written, ...]:
        """Return the file, once it is written."""
        whole = self.journal.find(self._path.name)
        return () if whole is None else (whole,)

    def done(self, index: int) -> Written | None:
        """Return what was written of a picture, where the archive is whole."""
        return self.journal.find(f"images[{index}]") if self._whole else None

    def write(self, index: int, picture: Picture, protected: NDArray[np.uint8]) -> Written:
        """Take in the next picture."""
        if index != len(self._noted):
            raise AssertionError(f"picture {index} was written where picture {len(self._noted)} is next")
        self._images[index] = protected
        notes = ("grey became RGB",) if picture.grey and not is_grey(protected) else ()
        stored = np.ascontiguousarray(protected[..., 0] if picture.grey and not notes else protected)
        digest = hashlib.sha256(stored.tobytes()).hexdigest()
        measured = self.measure(picture.rgb, protected)
        written = Written(f"images[{index}]", self.files[index], picture.sha256, digest, notes, measured)
        self._noted.append(written)
        if len(self._noted) == len(self.files):
            with writing(self.out, "--out"):
                self._complete()
        return written

    def _complete(self) -> None:
        came_grey = len(self._shape) == 3 or self._shape[3] == 1
        grey = came_grey and not any(one.notes for one in self._noted)
        images = self._images[..., 0].reshape(self._shape) if grey else self._images
        path = self.out / self._path.name
        temporary = temporary_beside(path)
        make_folder(path.parent)
        with zipfile.ZipFile(self._path) as came, zipfile.ZipFile(temporary, "w") as archive:
            for member in came.infolist():
                if member.filename != _MEMBER:  # copied without being read: an array of objects stays one
                    archive.writestr(member, came.read(member))
                    continue
                new = zipfile.ZipInfo(_MEMBER)
                new.compress_type = member.compress_type
                with archive.open(new, "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, np.ascontiguousarray(images), allow_pickle=False)
        temporary.replace(path)
        whole = Written(path.name, path.name, file_digest(self._path), file_digest(path), (), {})
        self.journal.add(*self._noted, whole)
