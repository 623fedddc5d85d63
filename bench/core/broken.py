"""Plug-ins that cannot be used: where they lie, what is wrong with them, what to do."""

import importlib.util
import re
import traceback
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path

from bench.core.errors import SepbenchError

_REGISTERED = re.compile(r"""\.register\(\s*(["'])([^"'\n]+)\1""")


@dataclass(frozen=True)
class Broken:
    """A plug-in that cannot be used.

    Attributes
    ----------
    names
        What it would be called, as far as that can be told.
    what, trouble, advice
        The parts of the sentence on it: where it lies, what is wrong, what to do.

    """

    names: tuple[str, ...]
    what: str
    trouble: str
    advice: str

    @classmethod
    def module(cls, kind: str, name: str, error: BaseException) -> "Broken":
        """Return what is said of a module of ours that could not be imported."""
        return cls.file(kind, _file_of(name), error, name)

    @classmethod
    def file(cls, kind: str, path: str | None, error: BaseException, name: str = "") -> "Broken":
        """Return what is said of a file that could not be imported, called `name` where nobody knows its path."""
        line = _line_in(path, error)
        where = f"{path or name}:{line}" if line else path or name
        trouble = f"cannot be loaded ({told(error)})"
        return cls(_names_in(path), f"the {kind} in {where}", trouble, "repair or remove the file")

    @classmethod
    def entry(cls, kind: str, entry: EntryPoint, error: BaseException) -> "Broken":
        """Return what is said of a plug-in of an installed package that could not be loaded."""
        package = entry.dist.name if entry.dist else entry.value
        what = f"the {kind} '{entry.name}' of the installed package {package}"
        return cls((entry.name,), what, f"cannot be loaded ({told(error)})", "repair or uninstall that package")

    @classmethod
    def package(cls, name: str, error: BaseException) -> "Broken":
        """Return what is said of an installed package that does not even tell what it offers."""
        trouble = f"has an entry_points.txt that cannot be read ({told(error)})"
        return cls((), f"the installed package {name}", trouble, "repair or uninstall that package")

    def __str__(self) -> str:
        return f"{self.what} {self.trouble}: {self.advice}"


def told(error: BaseException) -> str:
    """Return in one line what an error says."""
    if isinstance(error, SepbenchError):
        return str(error)
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _file_of(module: str) -> str | None:
    with suppress(Exception):
        spec = importlib.util.find_spec(module)
        return spec.origin if spec else None
    return None


def _line_in(path: str | None, error: BaseException) -> int | None:
    """Return the last line of a file that an error has come through."""
    if isinstance(error, SyntaxError) and error.filename == path:
        return error.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return lines[-1] if lines else None


def _names_in(path: str | None) -> tuple[str, ...]:
    """Return the names that a file registers, as far as its text tells, else what it may be called after itself."""
    file = Path(path or "")
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    named = tuple(dict.fromkeys(name for _, name in _REGISTERED.findall(text)))
    return named or (file.stem.replace("_", "-"),)
