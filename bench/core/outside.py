"""What comes from outside: taken in only as far as it is bounded, and shown only as what can be printed."""

import json
import os
import stat
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.core.errors import SepbenchError

_BIDI = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}
"""Controls that make a terminal or a page show letters in another order than they stand in."""


def json_of(data: bytes | str) -> Any:
    """Return what a JSON text holds; raises ValueError for anything else, also where it is nested too deeply."""
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def bytes_of(path: Path, most: int, what: str) -> bytes:
    """Return the bytes of a file.

    Parameters
    ----------
    path
        The file; a device or a pipe may never end, or never begin, and is refused.
    most
        How many bytes it may have.
    what
        What such a file is for, such as `a record`, for the message.

    Raises
    ------
    SepbenchError
        It is no file, or a larger one.
    OSError
        It cannot be read.

    """
    # A pipe that nobody writes to would be waited for.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise SepbenchError(f"{path} is neither a file nor a folder: name {what}")
        data = file.read(most + 1)
    if len(data) > most:
        raise SepbenchError(f"{path} has more than {most:,} bytes, which {what} never has: name the right file")
    return data


def memory() -> int:
    """Return the bytes of this machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def is_printable(text: str) -> bool:
    """Tell whether a text shows as it is written: no controls, no half characters, nothing that turns its order."""
    return text.isprintable() or not any(map(_acts, text))


def printable(text: str) -> str:
    r"""Return a text with escapes such as `\\x1b` in place of what would act on a terminal instead of being shown."""
    if is_printable(text):
        return text
    return "".join(ascii(letter)[1:-1] if _acts(letter) else letter for letter in text)


def leaves_of(value: Any) -> Iterator[str | float]:
    """Yield every text and every float in plain data, names of fields too."""
    if isinstance(value, str | float):
        yield value
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield from leaves_of(name)
            yield from leaves_of(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from leaves_of(one)


def _acts(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") or ord(letter) in _BIDI
