"""Standard output and error as commands need them: whatever becomes of them, the work goes on."""

import codecs
import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

_PLAIN = {
    "±": "+-",
    "…": "...",
    "·": ".",
    "∞": "inf",
    "≤": "<=",
    "✓": "+",
    "✗": "x",
    "\N{EN DASH}": "-",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{RIGHTWARDS ARROW}": "->",
}
"""How characters of ours are written where they cannot be; any other is written as its number."""

_UTF_8 = {"utf-8", "utf-8-sig"}


class Output(io.TextIOBase):
    """A text stream that takes every character, and never fails: `failure` is what the first write has met.

    Parameters
    ----------
    stream
        What is written to; None where it was closed before the program started.

    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.failure: OSError | None = None

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The name of the encoding."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write text, unless an earlier write has failed."""
        if not isinstance(text, str):
            raise TypeError(f"a text stream takes no {type(text).__name__}")
        self._try(lambda stream: stream.write(_fitted(text, self.encoding)))
        return len(text)

    def flush(self) -> None:
        """Write what is held back."""
        self._try(lambda stream: stream.flush())

    def writable(self) -> bool:
        """Return that it is."""
        return True

    def isatty(self) -> bool:
        """Tell whether a terminal shows it."""
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor; raises `io.UnsupportedOperation` where there is none."""
        if self._stream is None:
            raise io.UnsupportedOperation("fileno")
        return self._stream.fileno()

    def close(self) -> None:
        """Leave the stream open: it is not ours."""

    def _try(self, act: Callable[[TextIO], object]) -> None:
        if self._stream is None or self.failure is not None:
            return
        try:
            act(self._stream)
        except OSError as error:
            self.failure = error
            self._lead_to_nowhere()

    def _lead_to_nowhere(self) -> None:
        """Let Python get rid of what it could not write: it would try once more when it ends, and complain."""
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)


@contextmanager
def standard_streams() -> Iterator[Output]:
    """Put an `Output` in the place of standard output, which is yielded, and of standard error."""
    _open_the_closed()
    before = sys.stdout, sys.stderr
    out, err = Output(sys.stdout), Output(sys.stderr)
    sys.stdout, sys.stderr = out, err
    try:
        yield out
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before


def for_machines(text: str, form: str) -> str:
    """Return JSON or HTML so that it says the same in the encoding of standard output; both are read as UTF-8."""
    if _name(getattr(sys.stdout, "encoding", None) or "utf-8") in _UTF_8:
        return text
    if form == "json":
        return re.sub(r"[^\x00-\x7f]+", lambda found: json.dumps(found[0])[1:-1], text)
    if form == "html":
        return text.encode("ascii", "xmlcharrefreplace").decode()
    return text


def _open_the_closed() -> None:
    """Let what was closed lead nowhere: the next file to be opened would get its number, and what is printed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def _fitted(text: str, encoding: str) -> str:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.encode(encoding, "sepbench").decode(encoding)
    return text


def _in_plain_characters(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    character = error.object[error.start]
    plain = _PLAIN.get(character) or character.encode("ascii", "backslashreplace").decode()
    return plain, error.start + 1


def _name(encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        return encoding


codecs.register_error("sepbench", _in_plain_characters)
