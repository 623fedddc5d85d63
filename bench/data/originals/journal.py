"""What an unfinished output says of itself: whose it is, who writes to it, and which pictures are written."""

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from bench.core.disk import is_temporary, make_folder, sync_folder
from bench.core.errors import SepbenchError
from bench.core.outside import json_of

_NAME = ".sepbench-unfinished.jsonl"


@dataclass(frozen=True)
class Written:
    """A protected picture that is written.

    Attributes
    ----------
    name
        Of the original.
    file
        Of the protected one, relative to the output folder; within a file of many after `#` its row.
    sha256_in, sha256_out
        Of the stored bytes of both, hex; of arrays, of their pixels.
    notes
        What a person has to know of it, clauses without a point.
    measured
        What the writer was asked to measure.

    """

    name: str
    file: str
    sha256_in: str
    sha256_out: str
    notes: tuple[str, ...]
    measured: dict[str, Any]

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> "Written":
        """Return what `to_dict` was made of."""
        measured = dict(told)
        own = {field: str(measured.pop(field)) for field in ("name", "file", "sha256_in", "sha256_out")}
        return cls(**own, notes=tuple(measured.pop("notes", ())), measured=measured)

    @classmethod
    def from_line(cls, line: str) -> "Written":
        """Return what `to_line` was made of; raises ValueError, TypeError or LookupError for any other line."""
        fields = dict(json_of(line))
        if fields.pop("digest") != _digest(fields):
            raise ValueError("it is not what was written")
        own = {field: str(fields[field]) for field in ("name", "file", "sha256_in", "sha256_out")}
        return cls(**own, notes=tuple(map(str, fields["notes"])), measured=dict(fields["measured"]))

    def to_line(self) -> str:
        """Return the line of a journal, which tells whether it has been changed since."""
        fields = asdict(self)
        return json.dumps({**fields, "digest": _digest(fields)})

    def to_dict(self) -> dict[str, Any]:
        """Return what a manifest says of it; `notes` and what was measured stand among the rest."""
        fields = asdict(self)
        measured = fields.pop("measured")
        notes = list(fields.pop("notes"))
        return {**fields, **measured, **({"notes": notes} if notes else {})}


class Journal:
    """The line of an output folder for each picture that stands in it, which a repeated run reads.

    It only reads until the folder is claimed.

    Parameters
    ----------
    known
        What a manifest of the same protection says was written to the folder, which need not be empty then.

    Raises
    ------
    SepbenchError
        The folder holds anything that no killed writer of the same protection has left.

    """

    _file: TextIO | None = None

    def __init__(self, out: Path, protection: str, known: Sequence[Written] = ()) -> None:
        self._out, self._path = out, out / _NAME
        self._head = json.dumps({"protection": hashlib.sha256(protection.encode()).hexdigest()})
        self._known = known
        self._written = {one.name: one for one in known}
        self._read()

    def claim(self) -> None:
        """Make the folder this process's own, until it is released or the process ends.

        Raises `SepbenchError` where another run writes to it.
        """
        make_folder(self._out)
        file = self._locked()
        try:
            if not self._read():
                file.truncate(0)
                file.write("\n".join([self._head, *(one.to_line() for one in self._known), ""]))
                file.flush()
                os.fsync(file.fileno())
                sync_folder(self._out)
        except BaseException:
            if not os.fstat(file.fileno()).st_size:
                self._path.unlink(missing_ok=True)
            file.close()
            raise
        self._file = file

    def find(self, name: str) -> Written | None:
        """Return what was written of an original, whatever has become of the file since."""
        return self._written.get(name)

    def add(self, *written: Written) -> None:
        """Note pictures that are written."""
        assert self._file is not None
        # A torn line of a killed run ends here.
        self._file.write("\n" + "".join(f"{one.to_line()}\n" for one in written))
        self._file.flush()
        self._written.update({one.name: one for one in written})

    def close(self) -> None:
        """Say that the output is whole."""
        self._path.unlink(missing_ok=True)
        self.release()

    def release(self) -> None:
        """Let others write to the folder."""
        if self._file is not None:
            with suppress(OSError):
                fcntl.flock(self._file, fcntl.LOCK_UN)  # closing is not enough where a fork shares the descriptor
            self._file.close()
            self._file = None

    def __del__(self) -> None:
        """Close the file: in a fork, too, so that nothing is unlocked."""
        if self._file is not None:
            self._file.close()

    def _read(self) -> bool:
        """Take in what is written; return whether the folder says whose it is."""
        if self._out.exists() and not self._out.is_dir():
            raise SepbenchError(f"{self._out} is a file: give a folder that is not there yet, or is empty")
        text = self._path.read_text(encoding="utf-8", errors="replace") if self._path.is_file() else ""
        head, ended, lines = text.partition("\n")
        if not ended:  # there is none, or its writer was killed at the first line
            if not self._known:
                self._refuse_what_is_of_others()
            return False
        if head != self._head:
            raise SepbenchError(
                f"{self._out} holds the unfinished output of another protection: repeat the command that began it, "
                f"give an empty folder, or remove this one"
            )
        for line in lines.splitlines():
            try:
                written = Written.from_line(line)
            except (ValueError, TypeError, LookupError):  # the last line of a killed run, or changed since
                continue
            self._written[written.name] = written
        return True

    def _refuse_what_is_of_others(self) -> None:
        names = sorted(path.name for path in self._out.iterdir()) if self._out.is_dir() else []
        if first := next((name for name in names if name != _NAME and not is_temporary(name)), None):
            raise SepbenchError(
                f"{self._out} is not empty, it has {first}: give a folder that is not there yet, or is empty"
            )

    def _locked(self) -> TextIO:
        while True:
            file = self._path.open("a+", encoding="utf-8")
            try:
                _lock(file)
                # Whoever held it may have ended, and taken the file away, since it was opened.
                if self._path.exists() and os.path.samestat(self._path.stat(), os.fstat(file.fileno())):
                    return file
            except BlockingIOError:
                file.close()
                raise SepbenchError(
                    f"another run is writing to {self._out}: wait for it, or give another folder"
                ) from None
            file.close()


def is_unfinished(out: Path) -> bool:
    """Return whether an output folder says that it is not whole."""
    return (out / _NAME).exists()


def _digest(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields).encode()).hexdigest()[:16]


def _lock(file: TextIO) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # the file system knows no locks: better written without than not at all
        return
