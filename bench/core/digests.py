"""Digests of large files, remembered for as long as the files stay what they are."""

import hashlib
import json
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench.core.disk import make_folder, write_atomically
from bench.core.errors import SepbenchError
from bench.core.file_state import FileState, settled
from bench.core.paths import content_digest, file_digest


@dataclass(frozen=True)
class Digests:
    """`content_digest` for paths whose files may be read often: it reads none again whose `FileState` it knows.

    `folder` keeps a line for each file; it is made when first written to, and done without where it cannot be.
    """

    folder: Path

    def __call__(self, path: Path) -> str:
        """Return the digest of a file or folder; raises `SepbenchError` where it cannot be read."""
        return content_digest(path, self._of_file)

    def _of_file(self, path: Path) -> str:
        asked = time.time_ns()
        try:
            state = FileState.of(path)
        except OSError as error:
            raise SepbenchError(f"{path} cannot be read ({error.strerror}): make it readable") from error
        kept = self.folder / f"{hashlib.sha256(json.dumps(state).encode()).hexdigest()}.sha256"
        if (known := _read(kept)) is not None:
            return known
        digest = file_digest(path)
        if settled([state], asked):
            with suppress(OSError):  # it costs a reading, no result
                make_folder(self.folder)
                write_atomically(kept, digest.encode(), durable=False)
        return digest


def _read(path: Path) -> str | None:
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError):
        return None
    return text if re.fullmatch(r"[0-9a-f]{64}", text) else None
