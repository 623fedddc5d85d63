"""Content-addressed artifacts: safetensors beside one sealed JSON, written atomically, verified when read."""

import logging
from collections.abc import Callable, Collection, Mapping
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.disk import (
    make_folder,
    sync_folder,
    write_atomically,
    writing,
)
from bench.store.artifact_files import META, decode, read_meta, remove_all, sealed_meta
from bench.store.draft import Draft
from bench.store.sealed import (
    Damage,
    read_files,
    read_verified,
    refused,
    size_of,
)

if TYPE_CHECKING:
    from torch import Tensor

_LOG = logging.getLogger("sepbench")

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
                for name, entry in read_meta(folder / META, kind, key)["files"].items()
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
            return decode(path, data, device)
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
                    meta: dict[str, Any] = read_files(folder / META)["meta"]
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
            write_atomically(folder / META, sealed_meta(kind, key, files, meta))
            remove_all(folder / f"{name}.safetensors" for name in gone)

    def describe(self, kind: str, key: str, meta: Mapping[str, Any], files: Mapping[str, Mapping[str, Any]]) -> None:
        """Make copies that lie in the folder of an artifact the artifact; `files` has what `entry` said of each."""
        with writing(self.root):
            write_atomically(self.folder(kind, key) / META, sealed_meta(kind, key, files, meta), durable=False)

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

    def draft(self, kind: str, key: str) -> Draft:
        """Open unfinished work on an artifact, with whatever an earlier process left of it."""
        return Draft(self, kind, key)

    def _document(self, kind: str, key: str) -> dict[str, Any]:
        try:
            return read_meta(self.folder(kind, key) / META, kind, key)
        except Damage as damage:
            raise CorruptArtifact(kind, key, str(damage)) from damage


def _number(aside: Path) -> int:
    return int(aside.name.rpartition("-")[2])
