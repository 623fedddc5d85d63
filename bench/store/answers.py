"""What commands answered, given again as long as nothing has changed that it rests on."""

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.core.disk import make_folder, write_atomically
from bench.core.file_state import FileState, settled, states_below
from bench.core.outside import bytes_of, json_of

_KEPT = 64
_LARGEST = 2**24


class Answer:
    """The answer to one request, in a file of its own: a hint, which costs nothing when it is lost.

    Parameters
    ----------
    folder
        Where answers are kept; made when first written to, unless the one that it lies in is not there either.
    request
        All that the answer depends on besides files, as JSON; only its digest is kept.
    rests_on
        Files and folders, with all in them, that decide the answer; those that are not there may come.

    """

    def __init__(self, folder: Path, request: Any, rests_on: Sequence[Path]) -> None:
        digest = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
        self._path = folder / f"{digest}.json"
        self._rests_on = rests_on
        self._asked_ns = time.time_ns()

    def again(self) -> Any:
        """Return the kept answer as JSON, None where there is none or what it rests on is not as it was."""
        try:
            told = json_of(bytes_of(self._path, _LARGEST, "an answer"))
            further = [Path(one) for one in told["further"]]
            return told["answer"] if told["state"] == _digest(self._states(further)) else None
        except Exception:  # whatever is wrong with the file: it is answered anew
            return None

    def keep(self, answer: Any, further: Sequence[Path] = ()) -> None:
        """Keep the answer, unless what it rests on changed so lately that it may not be what was read.

        Parameters
        ----------
        answer
            As JSON.
        further
            What it rests on as well, as was found while answering: files, and folders for the names in them.

        """
        with suppress(OSError):
            states = list[FileState]()
            for state in self._states(further):
                if not settled([state], self._asked_ns):
                    return
                states.append(state)
            told = {"answer": answer, "further": [str(one) for one in further], "state": _digest(states)}
            data = json.dumps(told).encode()
            if len(data) > _LARGEST or not self._path.parent.parent.is_dir():
                return
            make_folder(self._path.parent)
            write_atomically(self._path, data, durable=False)
            known = sorted(self._path.parent.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
            for path in known[:-_KEPT]:
                path.unlink(missing_ok=True)

    def _states(self, further: Sequence[Path]) -> Iterator[FileState]:
        for path in self._rests_on:
            yield from states_below(path)
        yield from map(FileState.of, further)


def _digest(states: Iterable[FileState]) -> str:
    return hashlib.sha256(json.dumps(list(states)).encode()).hexdigest()
