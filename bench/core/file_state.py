"""Whether a file is still the one that was read, for the price of asking the system instead of reading it again."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

_COARSEST_CLOCK_NS = 2_000_000_000  # of the file systems in use: on FAT times are even seconds


class FileState(NamedTuple):
    """What the system says of a file: another content is another state.

    The time of change and the number are not a user's to set: whatever was written or put in a file's place is noticed,
    also where its size and its time of writing are the old ones. File systems that keep no time of change, such as FAT
    and some network mounts, show only what size, time of writing or number give away. What is touched, moved or copied
    is another state of the same content.

    Attributes
    ----------
    path
        Absolute.
    size
        Bytes.
    written_ns, changed_ns
        When the content was last written, which programs may set, and when anything about the file last changed.
    number
        The inode.

    """

    path: str
    size: int
    written_ns: int
    changed_ns: int
    number: int

    @classmethod
    def of(cls, path: Path) -> "FileState":
        """Return the state of a file, or of what a link leads to; raises OSError where there is none."""
        found = path.stat()
        return cls(str(path.absolute()), found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def settled(states: Iterable[FileState], asked_ns: int) -> bool:
    """Tell whether any later change would show: one in the same tick of the clock as the last one might not.

    `asked_ns` is when the first of the states was asked for.
    """
    return all(state.changed_ns < asked_ns - _COARSEST_CLOCK_NS for state in states)


def states_below(path: Path) -> Iterator[FileState]:
    """Yield the states of a file, or of a folder with all in it but what Python compiled, in an order that stays.

    Links are followed, each folder is entered once. Of what is not there nothing is yielded.
    """
    yield from _below(path, set())


def _below(path: Path, entered: set[tuple[int, int]]) -> Iterator[FileState]:
    try:
        found = path.stat()
        yield FileState.of(path)
        if path.is_dir() and (found.st_dev, found.st_ino) not in entered:
            entered.add((found.st_dev, found.st_ino))
            for inside in sorted(path.iterdir()):
                if inside.name != "__pycache__":
                    yield from _below(inside, entered)
    except OSError:  # it went meanwhile, or is not for this user to see
        return
