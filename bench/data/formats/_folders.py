"""What lies below a folder that has one folder of images for each class."""

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, features

from bench.api import SepbenchError

SYSTEM = {
    "#recycle",
    "#snapshot",
    "$recycle.bin",
    "@eadir",
    "@recently-snapshot",
    "@recycle",
    "__macosx",
    "__pycache__",
    "desktop.ini",
    "ehthumbs.db",
    "icon\r",
    "lost+found",
    "recycler",
    "system volume information",
    "thumbs.db",
}
"""What systems and file servers leave in folders, in small letters."""

_IMAGE_KINDS = {
    f".{ending}"
    for endings in (
        "avif avifs heic heics heif heifs hif j2c j2k jp2 jpc jpf jpx jxl jxr webp",  # phones and browsers
        "3fr arw cr2 cr3 crw dcr dng erf iiq kdc mos mrw nef nrw orf pef raf rw2 sr2 srf srw x3f",  # cameras
        "dcm emf exr svg svgz wmf xcf",
    )
    for ending in endings.split()
}
"""Endings of images that Pillow reads nowhere, or not everywhere."""

_NAMES_ALONE = {"BUFR", "GRIB", "HDF5", "MPEG", "WMF"}
"""What Pillow recognises and cannot decode."""

_OPENED_AS_ANOTHER = {"MPO"}
"""What Pillow registers no opener for, and decodes: several JPEG images in one file, of which the first is read."""

_OPTIONAL = {"AVIF": "avif", "JPEG2000": "jpg_2000", "WEBP": "webp"}
"""What Pillow decodes where it was built so, and the name of that feature."""

Place = tuple[int, int]
"""Device and number of a folder."""


@dataclass(frozen=True)
class ClassFolders:
    """The images of each class, in the order of the classes, and what was left out.

    Attributes
    ----------
    hidden
        Hidden files and folders, and those that a system made for itself.
    second
        Images of kinds that are not read here, beside one of the same name that is.
    other
        Files that are no images.
    stray
        Images that lie in no class.
    empty
        Folders within a class with nothing in them.

    """

    images: dict[str, list[Path]] = field(default_factory=dict)
    hidden: list[Path] = field(default_factory=list)
    second: list[Path] = field(default_factory=list)
    other: list[Path] = field(default_factory=list)
    stray: list[Path] = field(default_factory=list)
    empty: list[Path] = field(default_factory=list)


def look_through(root: Path) -> ClassFolders:
    """Return what lies below `root`; links are followed.

    Classes stand in the order of their names, of their numbers where all are whole numbers; images in that of their
    paths.

    Raises
    ------
    SepbenchError
        There is no class; a link leads back to a folder that it lies in; something cannot be reached or read, or is an
        image of a kind that is not read here: the first is named, the others are counted.

    """
    look = _Look(root)
    look.through_classes()
    look.refuse()
    if not look.found.images:
        raise SepbenchError(f"{root} has no subfolders: it needs one folder of images for each class")
    return look.found


class _Look:
    """One look through a folder, and the trouble it met on its way."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.found = ClassFolders()
        self.unreachable: list[tuple[str, str]] = []
        self.unreadable: list[Path] = []
        self.readable = _readable_endings()

    def through_classes(self) -> None:
        folders, files = self._sorted_out(self.root)
        for path in files:
            (self.found.stray if path.suffix.lower() in self.readable else self.found.other).append(path)
        for path in sorted(folders, key=_by_number if all(map(_is_number, folders)) else _by_name):
            if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in path.name):
                raise SepbenchError(
                    f"the name of {str(path)!a} holds what cannot be printed, or is not UTF-8: rename the folder of "
                    f"this class"
                )
            self.found.images[path.name] = sorted(self._images(path, {_place(self.root): self.root}))

    def refuse(self) -> None:
        if self.unreachable:
            path, reason = self.unreachable[0]
            raise SepbenchError(
                f"{path} cannot be read ({reason}){self._others(len(self.unreachable))}: mount the disk it is on, "
                f"correct the link or the rights, or remove it"
            )
        if self.unreadable:
            kinds = kinds_of(self.unreadable)
            raise SepbenchError(
                f"{shown(self.unreadable[0])} is an image of a kind that cannot be read here"
                f"{self._others(len(self.unreadable))} ({kinds}): convert to JPEG or PNG, or move elsewhere"
            )

    def _others(self, count: int) -> str:
        return f", nor can {count - 1} more below {self.root}" if count > 1 else ""

    def _images(self, folder: Path, above: dict[Place | None, Path]) -> Iterator[Path]:
        place = _place(folder)
        if place is not None and place in above:
            raise SepbenchError(f"{shown(folder)} leads back to {above[place]}, which it lies in: remove the link")
        folders, files = self._sorted_out(folder)
        if not folders and not files and len(above) > 1:
            self.found.empty.append(folder)
        images = [path for path in files if path.suffix.lower() in self.readable]
        stems = {path.stem.casefold() for path in images}
        for path in files:
            if path.suffix.lower() in self.readable:
                if not os.access(path, os.R_OK):
                    self.unreachable.append((shown(path), "Permission denied"))
            elif path.suffix.lower() in _IMAGE_KINDS:
                (self.found.second if path.stem.casefold() in stems else self.unreadable).append(path)
            else:
                self.found.other.append(path)
        yield from images
        for path in folders:
            yield from self._images(path, {**above, place: folder})

    def _sorted_out(self, folder: Path) -> tuple[list[Path], list[Path]]:
        """Return the folders and the files that lie in a folder and are not to be passed over."""
        folders, files = [], []
        for entry in self._entries(folder):
            path = folder / entry.name
            if entry.name.startswith(".") or entry.name.casefold() in SYSTEM:
                self.found.hidden.append(path)
                continue
            try:
                if entry.is_dir():
                    folders.append(path)
                elif entry.is_file():
                    files.append(path)
                else:
                    entry.stat()  # raises where a link leads nowhere
                    self.unreachable.append((shown(path), "neither a file nor a folder"))
            except OSError as error:
                self.unreachable.append((shown(path), _reason(entry, error)))
        return folders, files

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self.unreachable.append((shown(folder), error.strerror or type(error).__name__))
            return []


def shown(path: Path) -> str:
    """Return a path as text that can be printed, whatever bytes the file system has for it."""
    return str(path).encode(errors="backslashreplace").decode()


def kinds_of(paths: Iterable[Path]) -> str:
    """Return the endings of files, as in `.heic, .nef`."""
    return ", ".join(sorted({path.suffix.lower() for path in paths}))


def _reason(entry: os.DirEntry[str], error: OSError) -> str:
    if entry.is_symlink() and isinstance(error, FileNotFoundError):
        return f"a link to {Path(entry).readlink()}, where nothing is"
    return error.strerror or type(error).__name__


def _place(folder: Path) -> Place | None:
    try:
        state = folder.stat()
    except OSError:  # which looking into it tells
        return None
    return state.st_dev, state.st_ino


def _is_number(path: Path) -> bool:
    return re.fullmatch("[0-9]+", path.name) is not None


def _by_name(path: Path) -> tuple[str, Path]:
    return unicodedata.normalize("NFC", path.name), path


def _by_number(path: Path) -> tuple[int, str]:
    return int(path.name), path.name


def _readable_endings() -> set[str]:
    known = Image.registered_extensions().items()
    missing = _NAMES_ALONE | {
        kind for kind, feature in _OPTIONAL.items() if kind in Image.OPEN and not features.check(feature)
    }
    decoded = (Image.OPEN.keys() | _OPENED_AS_ANOTHER) - missing
    return {ending for ending, kind in known if kind in decoded}
