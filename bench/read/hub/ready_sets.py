"""Protected sets of an experiment in the layout of the Hugging Face Hub: a folder that is uploaded as it is."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.core.disk import make_folder, write_atomically, writing
from bench.core.errors import SepbenchError
from bench.core.paths import stands
from bench.data.images import ImageSet
from bench.data.loading import load_planned
from bench.plan.plan import Plan
from bench.read.damage import undamaged
from bench.read.export import Exported, release_name
from bench.read.hub.data_card import ReadySet, data_card
from bench.read.hub.given_back import known_records
from bench.read.hub.hub_shards import shards
from bench.read.hub.licence import with_licence_of, without_licence
from bench.store.home import Home

CARD = "README.md"
NEW_CARD = "README.new.md"
MANIFEST = "sepbench.json"
TEST = "test"


def hand_on(
    plan: Plan, home: Home, folder: Path, records: Path | None = None, *, test: bool = False
) -> Iterator[Exported]:
    """Write each protected set of a plan to `folder` as the Hub has data sets, and yield it; last the data card.

    A set is a configuration of its own with the split `train`: `NAME/train-*.parquet`. `README.md` names them in its
    YAML and tells in its text how they were made, and what is known of them. The clean images of the method `none` are
    no protected set and left out. What is there already, as `sepbench.json` tells, stays; so does the licence that
    somebody has filled in, and a card of which more was changed.

    Parameters
    ----------
    records
        A folder of records to tell from what defenses give back, besides those of the home.
    test
        Whether to hand on the clean test images as well, as the split `test` of every configuration.

    Raises
    ------
    SepbenchError
        The plan has no protected set, the folder holds anything else or cannot be written to, or a set is damaged.

    """
    sets = _ready_sets(plan)
    if not sets:
        raise SepbenchError(
            "no protected set is left to hand on: the clean images of 'none' are none, name another method with --only"
        )
    known = known_records(plan, home, records)  # before anything is written: there may be no such folder
    with writing(folder, "--hub"):
        make_folder(folder)
        kept = _Kept.of(folder, {one.config: one.key for one in sets} | ({TEST: plan.card.test_sha256} if test else {}))
    written: list[ReadySet] = []
    for one in sets:
        if not home.store.has("craft", one.key):
            yield Exported(one.what, None)
            continue
        with undamaged():
            meta = home.store.meta("craft", one.key)
        if not kept.has(one.config, meta["sha256"]):
            with undamaged():
                tensors = home.store.tensors("craft", one.key, "protected")
            kept.put(one.config, "train", one.key, ImageSet(tensors["images"], tensors["labels"], plan.card.classes))
        written.append(one.with_meta(meta))
        yield Exported(one.what, folder / one.config)
    if not written:
        return
    if test:
        if not kept.has(TEST, plan.card.test_sha256):
            splits = load_planned(plan.experiment.dataset.located(), plan.card, home.cards)
            kept.put(TEST, TEST, plan.card.test_sha256, splits.test)
        yield Exported("the clean test images", folder / TEST)
    yield Exported(kept.write_card(data_card(plan, written, known, test=test)), folder / CARD)


def upload_command(folder: Path, name: str) -> str:
    """Return the command with which the folder goes to the Hub; nothing here runs it."""
    return f"hf upload YOUR-NAME/{name} {folder} . --repo-type dataset"


def _ready_sets(plan: Plan) -> list[ReadySet]:
    """Return the protected sets of a plan, each once, controls last, under names that folders and the Hub can have."""
    found: dict[str, ReadySet] = {}
    taken: set[str] = {TEST}
    for planned in plan.cells:
        if planned.cell.budget is None or planned.craft in found:
            continue
        what = release_name(plan, planned)
        config = re.sub(r"[^A-Za-z0-9.]+", "-", what).strip("-")
        config = f"{config}-{planned.craft[:8]}" if config in taken else config
        taken.add(config)
        found[planned.craft] = ReadySet(config, what, planned)
    return sorted(found.values(), key=lambda one: one.is_control)


class _Kept:
    """What a folder holds of an export, as its `sepbench.json` tells: of each set its key and its files' digests."""

    def __init__(self, folder: Path, document: dict[str, Any]) -> None:
        self._folder, self._document = folder, document

    @classmethod
    def of(cls, folder: Path, wanted: Mapping[str, str]) -> "_Kept":
        """Read the folder; raises `SepbenchError` where it holds anything but sets with these keys by their names."""
        path = folder / MANIFEST
        if not path.exists():
            # Files that a write has left unfinished are ours.
            others = sorted(one.name for one in folder.iterdir() if not one.name.endswith(".tmp"))
            if others:
                raise SepbenchError(
                    f"{folder} is not empty and no earlier export of this kind, as it holds {others[0]}: give --hub an "
                    f"empty folder or a new one"
                )
            new = cls(folder, {"sets": {}, "card": None})
            new._write()  # before any file of a set, so that an export which is killed can go on
            return new
        try:
            document = json.loads(path.read_bytes())
            held = {name: entry["key"] for name, entry in document["sets"].items()}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise SepbenchError(f"{path} is not what an export writes: give --hub an empty folder") from error
        others = sorted(name for name, key in held.items() if wanted.get(name) != key)
        if others:
            raise SepbenchError(
                f"{folder} holds {others[0]} of another request: ask for the same sets, or give --hub an empty folder"
            )
        return cls(folder, document)

    def has(self, name: str, sha256: str) -> bool:
        """Tell whether all files of a set are there as they were written, and hold images of this digest."""
        entry = self._document["sets"].get(name)
        if entry is None or entry.get("sha256") != sha256:
            return False
        files = {self._folder / name / file: digest for file, digest in entry["files"].items()}
        return all(stands(path, digest) for path, digest in files.items())

    def put(self, name: str, split: str, key: str, images: ImageSet) -> None:
        """Write the files of a set, and that they are there once all are."""
        digests = {}
        with writing(self._folder, "--hub"):
            make_folder(self._folder / name)
            for file, data in shards(images, split):
                write_atomically(self._folder / name / file, data)
                digests[file] = hashlib.sha256(data).hexdigest()
        self._document["sets"][name] = {"key": key, "sha256": images.sha256, "files": digests}
        self._write()

    def write_card(self, text: str) -> str:
        """Write the data card and return what to call it.

        The licence that a person has filled in stays. A card of which more was changed stays whole, and what would be
        written in its place, where that is new, stands beside it.
        """
        path, beside = self._folder / CARD, self._folder / NEW_CARD
        digest, wrote, what = _digest(text), self._document["card"], "data card"
        theirs = path.read_bytes().decode(errors="replace") if path.exists() else None
        if theirs is not None and _digest(theirs) not in (wrote, digest):
            if digest == wrote:
                return f"{what}, changed by hand and left so"
            path, what = beside, f"{what}, changed by hand and left so; {NEW_CARD} beside it is the new one"
        elif theirs is not None:
            text = with_licence_of(theirs, text)
        with writing(self._folder, "--hub"):
            write_atomically(path, text.encode())
            if path != beside:
                beside.unlink(missing_ok=True)
        if path != beside:
            self._document["card"] = digest
            self._write()
        return what

    def _write(self) -> None:
        with writing(self._folder, "--hub"):
            write_atomically(self._folder / MANIFEST, (json.dumps(self._document, indent=1) + "\n").encode())


def _digest(card: str) -> str:
    return hashlib.sha256(without_licence(card).encode()).hexdigest()
