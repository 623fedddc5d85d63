"""A home for workers that do not see it: it hands out what they read, and takes in what they have made."""

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from bench.core.errors import SepbenchError
from bench.store import lock
from bench.store.artifacts import CorruptArtifact
from bench.store.home import Home
from bench.store.sealed import Damage, seal, unseal


class Depot:
    """Acts in the home at `root` for workers elsewhere: raw files with their digests, one at a time, and no pickles.

    Whatever a worker writes is of a stage that it holds: `who` is a name of its own for each attempt.
    """

    def __init__(self, root: str) -> None:
        self._home = Home(Path(root))
        self._held: dict[str, tuple[str, lock.Lock]] = {}
        self._places: set[str] = set()

    def enter(self, place: str) -> None:
        """Remember where workers are, for `close`."""
        self._places.add(place)

    def hold(self, key: str, who: str) -> bool:
        """Hold the lock of a stage for a worker; tell whether no other process does.

        An earlier worker on the same stage counts as dead from here on.
        """
        held = self._held[key][1] if key in self._held else lock.acquire(self._home.locks, key)
        if held is None:
            return False
        self._held[key] = who, held
        return True

    def release(self, key: str) -> None:
        """Give the lock of a stage back, if it is held here."""
        if key in self._held:
            self._held.pop(key)[1].release()

    def close(self) -> list[str]:
        """Give all locks back; return where workers have been."""
        for key in [*self._held]:
            self.release(key)
        return sorted(self._places)

    def document(self, kind: str, key: str) -> bytes | str:
        """Return an artifact's `meta` and its `files`, by name `size` and `sha256`, sealed; else why there is none."""
        store = self._home.store
        if not store.has(kind, key):
            return f"the {kind} artifact {key} is not there any more"
        try:
            files = {name: store.entry(kind, key, name) for name in store.names(kind, key)}
            return seal({"files": files, "meta": store.meta(kind, key)})
        except CorruptArtifact as damage:
            return self._set_aside(damage)

    def data(self, kind: str, key: str, name: str) -> bytes | str:
        """Return the bytes of one file; a reason where they are damaged, and the artifact is set aside now."""
        try:
            return self._home.store.data(kind, key, name)
        except CorruptArtifact as damage:
            return self._set_aside(damage)

    def unfinished(self, kind: str, key: str) -> dict[str, dict[str, Any]]:
        """Return what a draft holds: for each name its info."""
        draft = self._home.store.draft(kind, key)
        return {name: draft.info(name) for name in draft.names()}

    def unfinished_data(self, kind: str, key: str, name: str) -> tuple[str, bytes]:
        """Return digest and bytes of one file of a draft."""
        data = self._home.store.draft(kind, key).data(name)
        return hashlib.sha256(data).hexdigest(), data

    def put(self, who: str, kind: str, key: str, name: str, data: bytes, sha256: str, info: dict[str, Any]) -> bool:
        """Put a file into the draft of a stage; tell whether it came as it was sent."""
        self._check_holds(who, key)
        if hashlib.sha256(data).hexdigest() != sha256:
            return False
        self._home.store.draft(kind, key).put_data(name, data, info)
        return True

    def keep(self, who: str, kind: str, key: str, names: Collection[str]) -> None:
        """Remove from the draft of a stage all but these names."""
        self._check_holds(who, key)
        draft = self._home.store.draft(kind, key)
        for name in draft.names():
            if name not in names:
                draft.drop(name)

    def commit(self, who: str, kind: str, key: str, document: bytes) -> bool:
        """Make the files that were put the artifact, as a sealed document says; tell whether it came as it was sent."""
        self._check_holds(who, key)
        try:
            body = unseal(document, "the document")
        except Damage:
            return False
        self._home.store.draft(kind, key).commit(body["meta"], list(body["files"]))
        return True

    def _check_holds(self, who: str, key: str) -> None:
        if key not in self._held or self._held[key][0] != who:
            raise SepbenchError(
                f"another worker has begun the stage {key} meanwhile: nothing more is taken of this one"
            )

    def _set_aside(self, damage: CorruptArtifact) -> str:
        self._home.store.set_aside(damage.kind, damage.key, damage.what)
        return f"{damage}: it is made again"
