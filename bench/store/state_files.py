"""State files: pieces of bytes and one catalogue of them, in as many zip files as a limit of their size asks for."""

import hashlib
import os
import re
import secrets
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from bench.core.disk import sync_folder, temporary_beside
from bench.core.errors import SepbenchError
from bench.store.packing import BLOCK, NotPacked, squeezed, unsqueezed
from bench.store.sealed import Damage, seal, unseal

SUFFIX = ".sepstate"
FORMAT = 1
SMALLEST_LIMIT = 2 * BLOCK
"""Bytes of the lowest limit of a file's size: a block that cannot be compressed has to fit."""

_CATALOGUE, _PART = "catalogue", "part"
_LONGEST_TEXT = 2**25
"""Bytes of a catalogue before it is packed: some 200,000 pieces, which are 800 GB."""
_SHORTEST_TEXT = 2**12
_MOST_FILES = 10**6
_ROOM = 2**16
"""Bytes of a file that are for its directory and what tells which file it is."""
_ENTRY = 256
"""Bytes that a piece takes besides its own: what a zip file says of it twice."""


class Piece(BaseModel):
    """A block: the file that holds it, counted from 0, its bytes as they are and packed, the digest of the latter."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    part: int = Field(ge=0)
    size: int = Field(ge=0, le=BLOCK)
    packed: int = Field(ge=0, le=SMALLEST_LIMIT)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


_PIECES = TypeAdapter(list[Piece])


class StateWriter:
    """Writes pieces to files beside `path`, and gives these their names once all is there.

    `limit` is the most bytes of a file, None for one file of any size. What the disk refuses is an `OSError`.
    """

    def __init__(self, path: Path, limit: int | None) -> None:
        self._path, self._limit = path, limit
        self._id = secrets.token_hex(8)
        self._temporary: list[Path] = []
        self._open: zipfile.ZipFile | None = None
        self._used = 0
        self._known: dict[str, int] = {}
        self.pieces: list[Piece] = []

    def add(self, block: bytes) -> int:
        """Keep a block and return its number; equal blocks are kept once."""
        data = squeezed(block)
        digest = hashlib.sha256(data).hexdigest()
        if digest not in self._known:
            self._write(str(len(self.pieces)), data)
            self._known[digest] = len(self.pieces)
            part = len(self._temporary) - 1
            self.pieces.append(Piece(part=part, size=len(block), packed=len(data), sha256=digest))
        return self._known[digest]

    def finish(self, catalogue: Mapping[str, Any]) -> list[Path]:
        """Add the catalogue and return the files; those of an earlier export to the same place go."""
        body = {**catalogue, "pieces": [piece.model_dump() for piece in self.pieces]}
        text = seal(body)
        if len(text) > _LONGEST_TEXT:
            raise SepbenchError(
                f"{len(self.pieces):,} pieces are more than one export can tell of: export fewer cells with --only"
            )
        self._write(_CATALOGUE, zlib.compress(text, 9))
        self._close()
        count = len(self._temporary)
        paths = [self._path] if count == 1 else [_part_beside(self._path, n + 1, count) for n in range(count)]
        for stale in [self._path, *_parts_beside(self._path)]:
            stale.unlink(missing_ok=True)
        for temporary, path in zip(self._temporary, paths, strict=True):
            temporary.replace(path)
        sync_folder(self._path.parent)
        return paths

    def abandon(self) -> None:
        """Remove what was written and not finished."""
        if self._open is not None:
            self._open.close()
        for temporary in self._temporary:
            temporary.unlink(missing_ok=True)

    def _write(self, name: str, data: bytes) -> None:
        needed = len(data) + _ENTRY
        full = self._limit is not None and self._used + needed > self._limit - _ROOM
        if self._open is None or (full and self._used):
            self._close()
            self._temporary.append(temporary_beside(self._path))
            self._open, self._used = zipfile.ZipFile(self._temporary[-1], "x"), 0
        self._open.writestr(zipfile.ZipInfo(name), data)
        self._used += needed

    def _close(self) -> None:
        if self._open is not None:
            told = {"format": FORMAT, "id": self._id, "part": len(self._temporary) - 1}
            self._open.writestr(zipfile.ZipInfo(_PART), seal(told))
            self._open.close()
            self._open = None
            with self._temporary[-1].open("rb") as file:
                os.fsync(file.fileno())


class StateFiles:
    """The files of one export, by their numbers; all that is read of them is checked against its digest.

    Nothing is unpacked to a place that a file names. Raises `SepbenchError` where a file is damaged, cut off, missing,
    or holds more than it declares.
    """

    def __init__(self, parts: Mapping[int, Path]) -> None:
        self._parts = {number: (path, _opened(path)) for number, path in parts.items()}
        last, archive = self._parts[max(self._parts)]
        if _CATALOGUE not in archive.namelist():
            raise SepbenchError(f"the last of the files beside {last} is missing, with their catalogue: bring it, too")
        packed = _member(last, archive, _CATALOGUE, _LONGEST_TEXT)
        try:
            unpacker = zlib.decompressobj()
            self.catalogue = unseal(unpacker.decompress(packed, _LONGEST_TEXT), "its catalogue")
            self.pieces = _PIECES.validate_python(self.catalogue.pop("pieces", None))
        except (zlib.error, Damage, ValidationError) as error:
            raise SepbenchError(damaged(last, "its catalogue is not what was written")) from error
        self.paths = [path for path, _ in self._parts.values()]

    def check(self) -> None:
        """Raise `SepbenchError` where a piece is missing or is not what was written."""
        count = 1 + max(self._parts)  # the last one has the catalogue
        for number, piece in enumerate(self.pieces):
            if piece.part not in self._parts:
                raise SepbenchError(
                    f"file {piece.part + 1} of {count} is missing beside {self.paths[-1]}: bring it, too"
                )
            self._packed(number)

    def block(self, number: int) -> bytes:
        """Return a piece as it was before it was packed."""
        try:
            return unsqueezed(self._packed(number), self.pieces[number].size)
        except NotPacked as error:
            raise SepbenchError(damaged(self._parts[self.pieces[number].part][0], str(error))) from error

    def __enter__(self) -> "StateFiles":
        return self

    def __exit__(self, *error: object) -> None:
        for _, archive in self._parts.values():
            archive.close()

    def _packed(self, number: int) -> bytes:
        if not 0 <= number < len(self.pieces) or self.pieces[number].part not in self._parts:
            raise SepbenchError(damaged(self.paths[-1], f"it names a piece {number} that it does not have"))
        piece = self.pieces[number]
        path, archive = self._parts[piece.part]
        data = _member(path, archive, str(number), piece.packed)
        if hashlib.sha256(data).hexdigest() != piece.sha256:
            raise SepbenchError(damaged(path, f"piece {number} does not match its digest"))
        return data


def damaged(path: Path, what: str) -> str:
    """Return the sentence on a state file that is not what was written."""
    return f"{path} is damaged ({what}): bring it again"


def state_files(paths: Sequence[Path]) -> list[StateFiles]:
    """Return the exports of which these files are, or files in these folders.

    Raises `SepbenchError` where there is none, or one that is no state file, is damaged, or of a later format.
    """
    found: defaultdict[str, dict[int, Path]] = defaultdict(dict)
    for path in (file for one in paths for file in _files_of(one)):
        archive = _opened(path)
        try:
            told = unseal(_member(path, archive, _PART, _SHORTEST_TEXT), "what it says of itself")
            form, name, number = told["format"], str(told["id"]), told["part"]
        except (Damage, KeyError) as error:
            raise SepbenchError(damaged(path, "what it says of itself is not what was written")) from error
        finally:
            archive.close()
        if form == FORMAT and (type(number) is not int or not 0 <= number < _MOST_FILES):
            raise SepbenchError(damaged(path, "what it says of itself is not what was written"))
        if form != FORMAT:
            raise SepbenchError(
                f"{path} is of format {form}, which this sepbench does not read: import it with a newer one"
            )
        found[name][number] = path
    return [StateFiles(parts) for parts in found.values()]


def _files_of(path: Path) -> list[Path]:
    if path.is_dir():
        inside = sorted(one for one in path.iterdir() if one.suffix == SUFFIX and one.is_file())
        if not inside:
            raise SepbenchError(f"{path} holds no {SUFFIX} file: name the folder that export --state has written")
        return inside
    if not path.exists():
        raise SepbenchError(f"there is no file {path}: name what export --state has written")
    return [path]


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise SepbenchError(f"{path} is cut off, or no state file: bring it again") from error
    except OSError as error:
        raise SepbenchError(f"{path} cannot be read ({error.strerror}): make it readable") from error


def _member(path: Path, archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """Return a member that is stored as it is, of so many bytes at most."""
    try:
        told = archive.getinfo(name)
        if told.compress_type != zipfile.ZIP_STORED or told.file_size > most:
            raise SepbenchError(damaged(path, f"piece {name} is larger than it declares"))
        return archive.read(told)
    except KeyError as error:
        raise SepbenchError(damaged(path, f"it lacks {name}")) from error
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError, ValueError) as error:
        if isinstance(error, SepbenchError):
            raise
        raise SepbenchError(damaged(path, f"{name} cannot be read")) from error


def _part_beside(path: Path, number: int, count: int) -> Path:
    return path.with_name(f"{path.stem}-{number}-of-{count}{SUFFIX}")


def _parts_beside(path: Path) -> list[Path]:
    form = re.compile(rf"{re.escape(path.stem)}-\d+-of-\d+{re.escape(SUFFIX)}")
    return [one for one in path.parent.iterdir() if form.fullmatch(one.name)]
