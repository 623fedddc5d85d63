"""Changing files so that neither their size nor their time of writing tells."""

import os
from pathlib import Path


def write_quietly(path: Path, content: bytes) -> None:
    """Overwrite a file in place and put its time of writing back, as programs that keep times do."""
    before = _after_a_tick(path)
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_quietly(path: Path, content: bytes) -> None:
    """Put another file of the same time of writing in a file's place, as `rsync -t` and `mv` do."""
    before = _after_a_tick(path)
    other = path.with_name(f".{path.name}.new")
    other.write_bytes(content)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


def flipped(content: bytes, position: int, bit: int) -> bytes:
    """Return the content with one bit of one byte flipped."""
    changed = bytearray(content)
    changed[position] ^= 1 << bit
    return bytes(changed)


def _after_a_tick(path: Path) -> os.stat_result:
    """Return the state of a file once the clock of its file system has moved on from its last change."""
    before = path.stat()
    clock = path.with_name(".clock")
    clock.touch()
    while clock.stat().st_ctime_ns <= before.st_ctime_ns:
        clock.touch()
    clock.unlink()
    return before
