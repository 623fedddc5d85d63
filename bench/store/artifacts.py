"""Content-addressed artifacts: safetensors beside one sealed JSON, written atomically, verified when read."""

import hashlib
import logging
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.disk import (
    cannot_write,
    make_folder,
    sync_folder,
    temporaries,
    write_atomically,
    writing,
)
from bench.store.sealed import (
    Damage,
    check_entry,
    read_files,
    read_sealed,
    read_verified,
    refused,
    seal,
    size_of,
)

if TYPE_CHECKING:
    from torch import Tensor

_LOG = logging.getLogger("sepbench")
_META = "meta.json"
_SIDECAR = ".draft.json"

LEFT_OUT = "left_out"
"""In the meta data of an artifact: names of files that it once had, or could have had."""


class CorruptArtifact(Exception):  # noqa: N818 - reads as what it is
    """An artifact is not what was written; `what` says which file and what is wrong with it."""

    def __init__(self, kind: str, key: str, what: str) -> None:
        super().__init__(kind, key, what)
        self.kind, self.key, self.what = kind, key, what

    def __str__(self) -> str:
        return f"the {self.kind} artifact {self.key} is damaged: {self.what}"


class Store:
    """Finished artifacts at `<root>/<kind>/<key[:2]>/<key>/`, drafts at `<root>/drafts/<kind>-<key>/`.

    Nothing is written before the first draft. Reading an artifact raises `CorruptArtifact` where a file is
    missing or differs from what was written, `DiskError` where the disk refuses.

    Parameters
    ----------
    root
        The folder of the store; made when first written to.

    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, kind: str, key: str) -> Path:
        """Return where the artifact stands or would stand."""
        return self.root / kind / key[:2] / key

    def has(self, kind: str, key: str) -> bool:
        """Tell whether the artifact is there, by its sealed meta.json and the sizes of its files."""
        folder = self.folder(kind, key)
        try:
            return all(
                size_of(folder / f"{name}.safetensors") == entry["size"]
                for name, entry in _read_meta(folder / _META, kind, key)["files"].items()
            )
        except Damage:
            return False

    def inventory(self) -> Callable[[str, str], bool]:
        """Return `has` for many questions at once, as of now: what no folder is there for is not looked for."""

        @cache
        def keys(kind: str) -> frozenset[str]:
            folder = self.root / kind
            try:
                return frozenset(path.name for below in folder.iterdir() if below.is_dir() for path in below.iterdir())
            except OSError as error:
                trouble = refused(folder, error)
                if isinstance(trouble, Damage):
                    return frozenset()
                raise trouble from error

        return lambda kind, key: key in keys(kind) and self.has(kind, key)

    def meta(self, kind: str, key: str) -> dict[str, Any]:
        """Return what `Draft.commit` was given as `meta`."""
        meta: dict[str, Any] = self._document(kind, key)["meta"]
        return meta

    def names(self, kind: str, key: str) -> list[str]:
        """Return the names of the artifact's tensor files, sorted."""
        return sorted(self._document(kind, key)["files"])

    def tensors(self, kind: str, key: str, name: str, device: str = "cpu") -> dict[str, "Tensor"]:
        """Return the tensors of one file on `device`, after its digest was verified."""
        data, path = self.data(kind, key, name), self.folder(kind, key) / f"{name}.safetensors"
        try:
            return _decode(path, data, device)
        except Damage as damage:
            raise CorruptArtifact(kind, key, str(damage)) from damage

    def entry(self, kind: str, key: str, name: str) -> dict[str, Any]:
        """Return `size` and `sha256` of one file."""
        document = self._document(kind, key)
        if name not in document["files"]:
            why = "was kept without" if LEFT_OUT in document["meta"] else "has no file"
            raise CorruptArtifact(kind, key, f"it {why} {name}.safetensors")
        entry: dict[str, Any] = document["files"][name]
        return entry

    def data(self, kind: str, key: str, name: str) -> bytes:
        """Return the bytes of one file, after their digest was verified."""
        entry = self.entry(kind, key, name)
        try:
            return read_verified(self.folder(kind, key) / f"{name}.safetensors", entry)
        except Damage as damage:
            raise CorruptArtifact(kind, key, str(damage)) from damage

    def size(self, kind: str, key: str) -> int:
        """Return the bytes the artifact takes on disk; 0 where there is none."""
        try:
            return sum(path.stat().st_size for path in self.folder(kind, key).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return 0

    def set_aside(self, kind: str, key: str, reason: str) -> Path | None:
        """Move a damaged artifact to `<root>/set-aside/`, with reason.txt and a warning.

        Returns where it is now; None where it was gone already.
        """
        source, aside = self.folder(kind, key), self.root / "set-aside"
        with writing(aside):
            if not source.exists():
                return None
            make_folder(aside)
            target = next(path for n in count(1) if not (path := aside / f"{kind}-{key}-{n}").exists())
            try:
                source.rename(target)
            except FileNotFoundError:
                return None
            write_atomically(target / "reason.txt", (reason + "\n").encode())
        _LOG.warning("set aside the %s artifact %s (%s): it is now at %s", kind, key, reason, target)
        return target

    def meta_aside(self, kind: str, key: str, reason: str) -> dict[str, Any] | None:
        """Return the `meta` of the artifact that was last set aside for a reason; None where there is none to read."""
        for folder in sorted(self.root.glob(f"set-aside/{kind}-{key}-*"), key=_number, reverse=True):
            try:
                if (folder / "reason.txt").read_text(encoding="utf-8").strip() == reason:
                    meta: dict[str, Any] = read_files(folder / _META)["meta"]
                    return meta
            except (OSError, UnicodeDecodeError, Damage):
                continue
        return None

    def thin(self, kind: str, key: str, keep: Collection[str]) -> None:
        """Remove the files of an artifact that `keep` does not name; `entry` then says that it was kept without."""
        document, folder = self._document(kind, key), self.folder(kind, key)
        gone = sorted(document["files"].keys() - set(keep))
        meta = document["meta"] | {LEFT_OUT: sorted({*document["meta"].get(LEFT_OUT, ()), *gone})}
        files = {name: entry for name, entry in document["files"].items() if name not in gone}
        with writing(folder):
            # First: what it names is there.
            write_atomically(folder / _META, _sealed_meta(kind, key, files, meta))
            _remove(folder / f"{name}.safetensors" for name in gone)

    def describe(self, kind: str, key: str, meta: Mapping[str, Any], files: Mapping[str, Mapping[str, Any]]) -> None:
        """Make copies that lie in the folder of an artifact the artifact; `files` has what `entry` said of each."""
        with writing(self.root):
            write_atomically(self.folder(kind, key) / _META, _sealed_meta(kind, key, files, meta), durable=False)

    def adopt(self, kind: str, key: str, other: "Store") -> None:
        """Take an artifact over from a store on the same disk, where none stands here; one that is damaged makes room.

        A draft that is left of it goes.
        """
        target = self.folder(kind, key)
        with writing(self.root):
            if not self.has(kind, key):
                if target.exists():
                    self.set_aside(kind, key, "it was damaged when it was brought again")
                make_folder(target.parent)
                other.folder(kind, key).rename(target)
                sync_folder(target.parent)
        self.draft(kind, key).discard()

    def adopt_draft(self, kind: str, key: str, other: "Store") -> None:
        """Take unfinished work over from a store on the same disk, in place of what cannot be read here."""
        mine, theirs = self.draft(kind, key), other.draft(kind, key)
        mine.discard()
        with writing(self.root):
            make_folder(mine.folder.parent)
            theirs.folder.rename(mine.folder)
            sync_folder(mine.folder.parent)

    def draft(self, kind: str, key: str) -> "Draft":
        """Open unfinished work on an artifact, with whatever an earlier process left of it."""
        return Draft(self, kind, key)

    def _document(self, kind: str, key: str) -> dict[str, Any]:
        try:
            return _read_meta(self.folder(kind, key) / _META, kind, key)
        except Damage as damage:
            raise CorruptArtifact(kind, key, str(damage)) from damage


class Draft:
    """An artifact in the making: named files of tensors; a kill loses at most the running `put`.

    One process at a time may write what has one name, any may look. `DiskError` where the disk is full or
    refuses: what was put before then stays.
    """

    def __init__(self, store: Store, kind: str, key: str) -> None:
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
        self.put_data(name, _encode(tensors), info)

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
            _remove(temporaries(self.folder, mark))  # of a process that was killed
            write_atomically(path, data, mark=mark)
            write_atomically(self.folder / (name + _SIDECAR), sidecar, mark=mark)
            _remove(old for old in self.folder.glob(f"{name}.*safetensors") if old != path)

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

    def holds(self, name: str) -> bool:
        """Tell, without reading it, whether something was put under `name`."""
        return (self.folder / (name + _SIDECAR)).exists()

    def tensors(self, name: str) -> dict[str, "Tensor"]:
        """Return the tensors put under `name`, on the CPU; raises KeyError where there are no valid ones."""
        try:
            path, _, data = self._read(name)
            return _decode(path, data, "cpu")
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
            _remove([self.folder / (name + _SIDECAR), *self.folder.glob(f"{name}.*safetensors")])

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
        write_atomically(self.folder / _META, _sealed_meta(self._kind, self._key, files, meta))
        target = self._store.folder(self._kind, self._key)
        if self._store.has(self._kind, self._key):
            return
        if target.exists():
            self._store.set_aside(self._kind, self._key, "it was damaged when it had been made again")
        make_folder(target.parent)
        self.folder.rename(target)
        sync_folder(target.parent)
        # Only now: until the rename the draft must stay readable, and what a kill leaves here does no harm.
        kept = {_META, *(f"{name}.safetensors" for name in keep)}
        with suppress(OSError):
            _remove(path for path in target.iterdir() if path.name not in kept)

    def _read(self, name: str) -> tuple[Path, dict[str, Any], bytes]:
        sidecar = read_sealed(self.folder / (name + _SIDECAR))
        check_entry(sidecar.get("file"), self.folder / (name + _SIDECAR))
        if not isinstance(sidecar.get("info"), dict):
            raise Damage(f"{name}{_SIDECAR} is not ours")
        path = self.folder / f"{name}.{sidecar['file']['sha256']}.safetensors"
        if not path.exists():
            path = self.folder / f"{name}.safetensors"  # a commit was killed halfway
        return path, sidecar, read_verified(path, sidecar["file"])


def _sealed_meta(kind: str, key: str, files: Mapping[str, Any], meta: Mapping[str, Any]) -> bytes:
    return seal({"of": f"{kind} {key}", "files": dict(files), "meta": dict(meta)})


def _read_meta(path: Path, kind: str, key: str) -> dict[str, Any]:
    """Return the document of an artifact; raises `Damage` where it is that of another one, moved here."""
    document = read_files(path)
    if document.get("of", f"{kind} {key}") != f"{kind} {key}":  # earlier versions did not say
        raise Damage(f"{path.name} is of another artifact")
    return document


def _number(aside: Path) -> int:
    return int(aside.name.rpartition("-")[2])


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _encode(tensors: Mapping[str, "Tensor"]) -> bytes:
    import torch
    from safetensors.torch import save

    # Copies: safetensors takes neither strided tensors nor two that share memory.
    return save(
        {
            name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
            for name, tensor in tensors.items()
        }
    )


def _decode(path: Path, data: bytes, device: str) -> dict[str, "Tensor"]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    # From the bytes that were hashed: a mapped file could still change, or end in a SIGBUS when it is cut.
    try:
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise Damage(f"{path.name} is no valid safetensors file ({error})") from error
    return {name: tensor.to(device) for name, tensor in tensors.items()}
