"""Every reader of files that come from outside: a valid file, how it may be changed, and what reads it."""

import io
import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from hypothesis import strategies as st
from PIL import Image, features
from safetensors.torch import save

from bench.api import SepbenchError, Source, decode
from bench.cli.lists import listed
from bench.cli.naming import _read as changes_of_name
from bench.core.impostors import what_it_is
from bench.data.decoding import stack
from bench.data.loading import _cached, load
from bench.data.originals.from_path import open_originals
from bench.data.originals.journal import Journal, Written
from bench.data.originals.picture import picture_of
from bench.data.releases.opening import MANIFEST, clean_images, open_release, size_made_for
from bench.data.spec import DatasetSpec
from bench.engine.recipe import recipe_names
from bench.flows.carried import Catalogue
from bench.flows.deliver import Protected, report
from bench.flows.manifest import altered, others_in, read_manifest
from bench.plan.paces import _read as pace
from bench.read.leaderboard.matrix import matrices_of
from bench.read.leaderboard.page import render
from bench.read.leaderboard.rows import rows_of
from bench.read.leaderboard.vetting import mistake
from bench.read.tables import build
from bench.read.tables.formats import FORMATS
from bench.record.record import read_record
from bench.run.assignment import Assignment
from bench.spec.file import load_experiment
from bench.spec.layout import TableLayout
from bench.store import lock
from bench.store.artifacts import CorruptArtifact, Store
from bench.store.packing import NotPacked, blocks_of, restored
from bench.store.sealed import seal
from bench.store.state_files import StateWriter, state_files
from tests.making.experiments import TINY
from tests.making.protections import told_of
from tests.making.records import record
from tests.making.tiny_data import LABELS, pets, pixels
from tests.strangers.edits import Change, in_archive, of_bytes, of_json
from tests.strangers.formats import digest, of_array, of_chunk, of_footer, of_sealed, of_tensors
from victims.defenses._weight_files import read_states


@dataclass(frozen=True)
class Reader:
    """One way in.

    Attributes
    ----------
    make
        Writes valid files to an empty folder and returns the one that is changed.
    change
        What becomes of its bytes.
    read
        What a command does with the changed file; raises nothing but `SepbenchError`, or one of `also`.

    """

    make: Callable[[Path], Path]
    change: st.SearchStrategy[Change]
    read: Callable[[Path], object]
    also: tuple[type[Exception], ...] = ()


def _file(name: str, data: bytes | Callable[[], bytes]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data())
        return path

    return make


_WORDS = (
    *(
        "&a *a ",
        "<<: *a",
        "!!python/object:os.system x",
        "!!binary x",
        "? [a]",
        "[[[[",
        "{{",
        "- &b [*b]",
        "%TAG",
        "--- ",
    ),
    *(
        "!!set {a}",
        "2001-99-99",
        "0x",
        "1e999",
        ".nan",
        "9:99:99",
        "&x [&y [*x,*y]]",
        "'\\x1b[2J'",
        "\\ud800",
        "=",
        "--- ",
    ),
    *("!!timestamp a", "!!float a", "!!int a", "!!int ''", "!!bool a", "!!omap [a]", ": ", "9" * 5000, "!!null"),
    *("!!merge <<: a", "&x {<<: *x}", "'=cmd()'", "'<b>'", "'\\u202e'", "!!str", "!!seq x", "!!map x", "!!pairs x"),
)

_text = st.one_of(
    of_bytes(),
    st.builds(lambda at, new: lambda data: _spliced(data, at, new), st.floats(0, 1), st.sampled_from(_WORDS)),
)


def _spliced(data: bytes, at: float, new: str) -> bytes:
    words = data.split(b" ")
    place = int(at * len(words))
    return b" ".join([*words[:place], new.encode("utf-8", "surrogatepass"), *words[place + 1 :]])


# Data sets, in the layouts that load() reads.


def _spec(form: str, path: Path, **fields: Any) -> DatasetSpec:
    return DatasetSpec.parse(
        {"name": "x", "format": form, "train": str(path), "holdout": 0.5, "allow_same_files": True, **fields}
    )


def _parquet(folder: Path) -> Path:
    pets(folder)
    return folder / "train.parquet"


def _npz_bytes(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _images_npz() -> bytes:
    return _npz_bytes(images=pixels(8), labels=np.array(LABELS), classes=np.array(["cat", "dog", "frog"]))


def _load(form: str) -> Callable[[Path], object]:
    return lambda path: load(_spec(form, path))


def _protect(path: Path) -> object:
    found = open_originals(path)
    found.survey()
    return [found.picture(index) for index in range(len(found))]


def _encoded(kind: str, **options: Any) -> bytes:
    file, frames = io.BytesIO(), [Image.fromarray(one) for one in pixels(2, side=16)]
    exif = Image.Exif()
    exif[0x0112] = 6
    more = {"save_all": True, "append_images": frames[1:]} if options.pop("animated", False) else {}
    frames[0].save(file, kind, **({"exif": exif} if kind in ("PNG", "JPEG", "WEBP", "TIFF") else {}), **more, **options)
    return file.getvalue()


def _picture(path: Path) -> object:
    data = path.read_bytes()
    with suppress(SepbenchError):
        picture_of(data, "it")
    return stack(Source(np.zeros(1, np.int64), ("a",), lambda _: iter([decode(data, "it")])), np.zeros(1, np.int64), 8)


def _folder(name: str, data: Callable[[], bytes]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        for kind in ("cat", "dog"):
            for number in range(1):
                _file(f"{kind}/{number}{name}", data)(folder)
        return folder / f"cat/0{name}"

    return make


def _pictures(name: str, kind: str, change: st.SearchStrategy[Change] | None = None, **options: Any) -> Reader:
    return Reader(_folder(name, lambda: _encoded(kind, **options)), of_bytes() if change is None else change, _picture)


# Protected sets and weights.


def _saved(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def _npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros((8, 4, 4, 3), np.float32))
    return file.getvalue()


def _release(path: Path) -> object:
    clean_file = path.parent / "clean" / "clean.npz"
    if not clean_file.exists():
        _file("clean/clean.npz", _images_npz)(path.parent)
    clean = clean_images(_spec("npz", clean_file))
    release = open_release(path, clean)
    everything = np.arange(len(release))
    return [release.size(), *release.levels(everything[:8], [*clean.pictures(np.arange(8))])]


_WEIGHTS = {"head.weight": torch.ones(2, 3), "head.bias": torch.ones(2), "n": torch.tensor(3)}


# State files and the store.


def _state(folder: Path) -> Path:
    tensors = save({"images": torch.zeros(8, 3, 4, 4, dtype=torch.uint8), "labels": torch.arange(8)})
    writer = StateWriter(folder / "a.sepstate", None)
    pieces = [writer.add(block) for block in blocks_of(tensors, {})]
    file = {"size": len(tensors), "sha256": digest(tensors), "pieces": pieces, "info": None}
    work = {"kind": "craft", "key": "0" * 64, "label": "it", "meta": {}, "files": {"protected": file}}
    told = {"train_sha256": "0" * 64, "test_sha256": "0" * 64, "version": "1", "torch": "2", "device": "cpu"}
    writer.finish({"experiment": yaml.safe_load(TINY), "cells": ["a"], **told, "work": [work]})
    return folder / "a.sepstate"


def _import(path: Path) -> object:
    for found in state_files([path]):
        with found:
            found.check()
            with suppress(ValueError):  # as pydantic's is, which is told in a sentence
                for work in Catalogue.model_validate(found.catalogue).work:
                    for file in work.files.values():
                        restored(b"".join(found.block(number) for number in file.pieces if number < 9), {})
    return None


def _reads_state(change: st.SearchStrategy[Change]) -> Reader:
    return Reader(_state, change, _import, also=(NotPacked,))


_of_state = st.one_of(of_bytes(), in_archive(of_bytes()), in_archive(of_sealed(packed=True)), in_archive(of_sealed()))


def _packed(path: Path) -> object:
    return restored(path.read_bytes(), {})


def _artifact(folder: Path, draft: bool = False) -> Path:
    made = Store(folder).draft("craft", "ab" * 32)
    made.put("protected", {"images": torch.zeros(8, 3, 4, 4, dtype=torch.uint8), "labels": torch.arange(8)}, {"a": 1})
    if draft:
        return made.folder / "protected.draft.json"
    made.commit({"sha256": "0" * 64, "audit": {"l2": 0.5}}, ["protected"])
    return Store(folder).folder("craft", "ab" * 32) / "meta.json"


def _tensors_of_artifact(folder: Path) -> Path:
    return _artifact(folder).with_name("protected.safetensors")


def _read_artifact(path: Path) -> object:
    store, key = Store(path.parents[3]), "ab" * 32
    if path.suffix == ".safetensors":  # with the digest that belongs to it
        data = path.read_bytes()
        entry = {"protected": {"sha256": digest(data), "size": len(data)}}
        path.with_name("meta.json").write_bytes(seal({"files": entry, "meta": {}}))
    store.has("craft", key)
    return [store.meta("craft", key), *(store.tensors("craft", key, name) for name in store.names("craft", key))]


def _read_draft(path: Path) -> object:
    draft = Store(path.parents[2]).draft("craft", "ab" * 32)
    return [(draft.info(name), draft.tensors(name), draft.data(name)) for name in draft.names()]


# Documents.


def _read_record(path: Path) -> object:
    found = read_record(path)
    others = [record(method="none", test_acc=90.0), record(seed=1, test_acc=20.0)]
    if mistake(found, recipe_names()) is None:
        rows = rows_of([found, *others])
        page = render(rows, matrices_of(rows))
        assert "</script><b>" not in page
    table = build([found, *others], TableLayout())
    texts = {name: write(table) for name, write in FORMATS.items()}
    assert "</script><b>" not in texts["html"]
    assert not re.search(r"(?m)(^|,)[=+@]", texts["csv"])
    return texts


def _json(name: str, content: Any, read: Callable[[Path], object], also: tuple[type[Exception], ...] = ()) -> Reader:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Reader(_file(name, data), st.one_of(of_json(), of_json(), of_bytes()), read, also)


def _manifest(path: Path) -> object:
    told = read_manifest(path.parent)
    return [
        size_made_for(path.parent),
        told and [altered(path.parent, told), others_in(path.parent, told), report(Protected(path.parent, told))],
    ]


_WRITTEN = Written("a", "a.png", "0", "1", ("x",), {"l2": 1.0})
_PROTECTION = digest(b"p")
_JOURNAL = json.dumps({"protection": _PROTECTION}).encode() + b"\n" + _WRITTEN.to_line().encode() + b"\n"


def _card() -> dict[str, Any]:
    return {
        "train_sha256": "0", "test_sha256": "1", "classes": ["a"], "n_train": 1, "n_protected": 1, "n_test": 1,
        "height": 4, "width": 4,
    }  # fmt: skip


def _pace() -> dict[str, Any]:
    return {"work": {}, "seconds": [1.0]}


READ: dict[str, Reader] = {
    "experiment": Reader(_file("tiny.yaml", TINY.encode()), _text, lambda path: load_experiment(str(path))),
    "--set": Reader(
        _file("v", b"methods=[{sep: {checkpoints: 2, steps: 3}}, none]"),
        _text,
        lambda path: load_experiment("quickstart", overrides=[path.read_bytes().decode(errors="surrogateescape")]),
    ),
    "lists": Reader(
        _file("v", b"plain, jpeg-10, {mixup: {a: 1}} "),
        _text,
        lambda path: listed("--x", path.read_bytes().decode(errors="surrogateescape")),
    ),
    "record": _json("a.json", record(test_acc=30.0, linf_levels=8, l2=1.0, l0=3).to_json().encode(), _read_record),
    "parquet": Reader(_parquet, st.one_of(of_footer(), of_bytes()), _load("parquet")),
    "protect parquet": Reader(_parquet, st.one_of(of_footer(), of_bytes()), _protect),
    "npz": Reader(
        _file("a.npz", _images_npz), st.one_of(in_archive(of_array()), in_archive(of_bytes()), of_bytes()), _load("npz")
    ),
    "protect npz": Reader(_file("a.npz", _images_npz), st.one_of(in_archive(of_array()), of_bytes()), _protect),
    "png": _pictures(".png", "PNG", st.one_of(of_chunk(), of_bytes())),
    "apng": _pictures(".png", "PNG", st.one_of(of_chunk(), of_bytes()), animated=True),
    "jpeg": _pictures(".jpg", "JPEG"),
    "gif": _pictures(".gif", "GIF", animated=True),
    "webp": _pictures(".webp", "WEBP", animated=True),
    "tiff": _pictures(".tif", "TIFF", animated=True),
    "tiff packed": _pictures(".tif", "TIFF", compression="tiff_lzw"),
    "bmp": _pictures(".bmp", "BMP"),
    "ico": _pictures(".ico", "ICO"),
    "ppm": _pictures(".ppm", "PPM"),
    "tga": _pictures(".tga", "TGA", rle=True),
    "jp2": _pictures(".jp2", "JPEG2000"),
    **({"avif": _pictures(".avif", "AVIF")} if features.check("avif") else {}),
    "release npy": Reader(_file("r.npy", _npy), st.one_of(of_array(), of_bytes()), _release),
    "release npz": Reader(
        _file("r.npz", _images_npz), st.one_of(in_archive(of_array()), in_archive(of_bytes()), of_bytes()), _release
    ),
    "release pt": Reader(
        _file("r.pt", lambda: _saved({"images": torch.rand(8, 3, 4, 4), "labels": torch.tensor(LABELS)})),
        st.one_of(in_archive(of_bytes()), of_bytes()),
        _release,
    ),
    "weights pt": Reader(
        _file("w.pt", lambda: _saved({"state_dict": _WEIGHTS})),
        st.one_of(in_archive(of_bytes()), of_bytes()),
        read_states,
    ),
    "weights safetensors": Reader(
        _file("w.safetensors", lambda: save(_WEIGHTS)), st.one_of(of_tensors(), of_bytes()), read_states
    ),
    "state": _reads_state(_of_state),
    "blocks": Reader(
        _file("b", lambda: b"".join(blocks_of(save(_WEIGHTS), {}))),
        st.one_of(of_tensors(), of_bytes()),
        _packed,
        (NotPacked,),
    ),
    "artifact": Reader(_artifact, st.one_of(of_sealed(), of_bytes()), _read_artifact, (CorruptArtifact,)),
    "artifact tensors": Reader(
        _tensors_of_artifact, st.one_of(of_tensors(), of_bytes()), _read_artifact, (CorruptArtifact,)
    ),
    "draft": Reader(
        lambda folder: _artifact(folder, draft=True), st.one_of(of_sealed(), of_bytes()), _read_draft, (KeyError,)
    ),
    "manifest": _json(
        MANIFEST,
        told_of(
            {**_WRITTEN.to_dict(), "notes": []}, crafted_at={"width": 8}, fit="crop", archives=[_WRITTEN.to_dict()]
        ),
        _manifest,
    ),
    "journal": _json(".sepbench-unfinished.jsonl", _JOURNAL, lambda path: Journal(path.parent, "p")),
    "card": _json("c.json", _card(), _cached),
    "pace": _json("p.json", _pace(), pace),
    "assignment": _json(
        "a.json",
        {"experiment": {}, "cells": None, "device": "cpu", "compile": False, "tell": True, "seconds": None},
        Assignment.read,
    ),
    "lock": _json(
        "a.lock",
        {"host": "h", "pid_space": "x", "pid": 12, "started": 3, "token": "t"},
        lambda path: [lock.owner(path.parent, "a"), lock.is_held(path.parent, "a")],
    ),
    "changes of a name": _json("n.json", {"profile": None, "overrides": ["a=b"]}, changes_of_name),
    "impostor": Reader(_file("x", b"<!-- a --><html>"), of_bytes(), what_it_is),
}
