"""An artifact in the making, which a kill leaves as it was put last."""

import hashlib
import logging
import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.disk import cannot_write, make_folder, sync_folder, temporaries, write_atomically, writing
from bench.store.artifact_files import META, decode, encode, remove_all, sealed_meta
from bench.store.sealed import Damage, check_entry, read_sealed, read_verified, seal

if TYPE_CHECKING:
    from torch import Tensor

    from bench.store.artifacts import Store

_LOG = logging.getLogger("sepbench")
_SIDECAR = ".draft.json"


class Draft:
    """An artifact in the making: named files of tensors; a kill loses at most the running `put`.

    One process at a time may write what has one name, any may look. `DiskError` where the disk is full or
    refuses: what was put before then stays.
    """

    def __init__(self, store: "Store", kind: str, key: str) -> None:
        self._store, self._kind, self._key = store, kind, key
        self.folder = store.root / "drafts" / f"{kind}-{key}"

    def put(self, name: str, tensors: Mapping[str, "Tensor"], info: Mapping[str, Any] = {}) -> None:
        """Write tensors of any device and layout under `name`, in place of earlier ones.

        Parameters
        ----------
        name
            Letters, digits, `-` and `_`.
        tensors
            Read back with the same dtypes, contiguous, on the CPU.
        info
            JSON to remember beside them.

        """
        self.put_data(name, encode(tensors), info)

    def put_data(self, name: str, data: bytes, info: Mapping[str, Any] = {}) -> None:
        """Write what `data` or `Store.data` returned under `name`, in place of earlier tensors."""
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            raise ValueError(f"'{name}' cannot name a file of an artifact: use letters, digits, - and _")
        entry = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        sidecar = seal({"file": entry, "info": dict(info)})
        # The digest is part of the file's name: the old pair stays whole until its sidecar is replaced.
        path = self.folder / f"{name}.{entry['sha256']}.safetensors"
        mark = hashlib.sha256(name.encode()).hexdigest()[:8]
        with writing(self.folder):
            make_folder(self.folder)
            remove_all(temporaries(self.folder, mark))  # of a process that was killed
            write_atomically(path, data, mark=mark)
            write_atomically(self.folder / (name + _SIDECAR), sidecar, mark=mark)
            remove_all(old for old in self.folder.glob(f"{name}.*safetensors") if old != path)

    def names(self) -> list[str]:
        """Return the names that can be read back, sorted; warns of those that fail their digest."""
        valid = []
        for name in sorted(path.name.removesuffix(_SIDECAR) for path in self.folder.glob("*" + _SIDECAR)):
            try:
                self._read(name)
                valid.append(name)
            except Damage as damage:
                # Not removed: whoever only looks must not race with the process at work.
                _LOG.warning("ignored '%s' of the unfinished work in %s: %s", name, self.folder, damage)
        return valid

    def tensors(self, name: str) -> dict[str, "Tensor"]:
        """Return the tensors put under `name`, on the CPU; raises KeyError where there are no valid ones."""
        try:
            path, _, data = self._read(name)
            return decode(path, data, "cpu")
        except Damage as damage:
            raise KeyError(f"{name}: {damage}") from damage

    def info(self, name: str) -> dict[str, Any]:
        """Return the info put under `name`; raises KeyError where there is no valid pair."""
        try:
            info: dict[str, Any] = self._read(name)[1]["info"]
        except Damage as damage:
            raise KeyError(f"{name}: {damage}") from damage
        return info

    def data(self, name: str) -> bytes:
        """Return the bytes of the file that was put under `name`; raises KeyError where there is no valid one."""
        try:
            return self._read(name)[2]
        except Damage as damage:
            raise KeyError(f"{name}: {damage}") from damage

    def drop(self, name: str) -> None:
        """Remove what is under `name`, if anything."""
        with writing(self.folder):
            remove_all([self.folder / (name + _SIDECAR), *self.folder.glob(f"{name}.*safetensors")])

    def commit(self, meta: Mapping[str, Any], keep: Sequence[str]) -> None:
        """Make the files named in `keep` the artifact, atomically, and drop the rest.

        Where a valid artifact stands already, it wins and the draft is discarded; a damaged one is set aside.
        Raises KeyError where a name in `keep` has no valid tensors.
        """
        if not self._store.has(self._kind, self._key):
            try:
                self._move_into_place(meta, keep)
            except (OSError, KeyError) as error:
                # Where another process committed the same artifact meanwhile, its bytes are as good as these.
                if not self._store.has(self._kind, self._key):
                    if isinstance(error, OSError):
                        raise cannot_write(self._store.root, error) from error
                    raise
        self.discard()

    def discard(self) -> None:
        """Remove the draft and all that was put into it."""
        with writing(self.folder), suppress(FileNotFoundError):
            shutil.rmtree(self.folder)

    def _move_into_place(self, meta: Mapping[str, Any], keep: Sequence[str]) -> None:
        files = {}
        for name in keep:
            try:
                path, sidecar, _ = self._read(name)
            except Damage as damage:
                raise KeyError(f"{name}: {damage}") from damage
            path.rename(self.folder / f"{name}.safetensors")
            files[name] = sidecar["file"]
        make_folder(self.folder)  # nothing may have been put: an artifact can be its meta alone
        write_atomically(self.folder / META, sealed_meta(self._kind, self._key, files, meta))
        target = self._store.folder(self._kind, self._key)
        if self._store.has(self._kind, self._key):
            return
        if target.exists():
            self._store.set_aside(self._kind, self._key, "it was damaged when it had been made again")
        make_folder(target.parent)
        self.folder.rename(target)
        sync_folder(target.parent)
        # Only now: until the rename the draft must stay readable, and what a kill leaves here does no harm.
        kept = {META, *(f"{name}.safetensors" for name in keep)}
        with suppress(OSError):
            remove_all(path for path in target.iterdir() if path.name not in kept)

    def _read(self, name: str) -> tuple[Path, dict[str, Any], bytes]:
        sidecar = read_sealed(self.folder / (name + _SIDECAR))
        check_entry(sidecar.get("file"), self.folder / (name + _SIDECAR))
        if not isinstance(sidecar.get("info"), dict):
            raise Damage(f"{name}{_SIDECAR} is not ours")
        path = self.folder / f"{name}.{sidecar['file']['sha256']}.safetensors"
        if not path.exists():
            path = self.folder / f"{name}.safetensors"  # a commit was killed halfway
        return path, sidecar, read_verified(path, sidecar["file"])
