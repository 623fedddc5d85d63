"""A shared store and state files in which somebody wrote what no sepbench writes, with digests that are right."""

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from bench.store import state_files as module
from bench.store.artifacts import CorruptArtifact, Store
from bench.store.packing import NotPacked, blocks_of, restored
from bench.store.sealed import seal
from bench.store.state_files import StateWriter, state_files
from tests.making.tiny_data import complaint

KEY = "ab" * 32
ENTRY = {"size": 3, "sha256": "0" * 64}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    draft = store.draft("craft", KEY)
    draft.put("protected", {"images": torch.zeros(3)})
    draft.commit({}, ["protected"])
    return store


@pytest.mark.parametrize(
    "body",
    [
        *({}, {"files": {}}, {"files": [], "meta": {}}, {"files": {"a": None}, "meta": {}}),
        *({"files": {"a": {"size": 1}}, "meta": {}}, {"files": {"a": {**ENTRY, "size": True}}, "meta": {}}),
        *({"files": {"../../../a": ENTRY}, "meta": {}}, {"files": {"/a": ENTRY}, "meta": {}}),
        {"files": {"a": {**ENTRY, "sha256": "../a"}}, "meta": {}},
    ],
)
def test_an_artifact_that_says_what_no_writer_says_is_damaged(body: dict[str, Any], store: Store) -> None:
    (store.folder("craft", KEY) / "meta.json").write_bytes(seal(body))
    assert not store.has("craft", KEY)
    for ask in (store.meta, store.names):
        with pytest.raises(CorruptArtifact, match="is not ours"):
            ask("craft", KEY)


@pytest.mark.parametrize("entry", [None, {}, {**ENTRY, "sha256": "../../x"}, {**ENTRY, "sha256": "x" * 300}])
def test_a_draft_that_says_what_no_writer_says_is_not_gone_on_with(entry: Any, store: Store) -> None:
    draft = store.draft("craft", "cd" * 32)
    draft.put("a", {"x": torch.zeros(2)})
    (draft.folder / "a.draft.json").write_bytes(seal({"file": entry, "info": {}}))
    assert draft.names() == []
    with pytest.raises(KeyError, match="is not ours"):
        draft.tensors("a")


@pytest.mark.parametrize("offsets", [[0, 12.0], ["0", "12"], [0, None], [0], 12, [False, 12, 0]])
def test_blocks_whose_header_counts_oddly_are_no_blocks(offsets: Any) -> None:
    data = b"".join(blocks_of(save({"x": torch.zeros(3)}), {}))
    start = 8 + int.from_bytes(data[:8], "little")
    head = json.dumps({"x": {"dtype": "F32", "shape": [3], "data_offsets": offsets}}).encode()
    with pytest.raises(NotPacked):
        restored(len(head).to_bytes(8, "little") + head + data[start:], {})


def state(path: Path, **changes: Any) -> Path:
    """Write a state file, then other members in place of its own."""
    writer = StateWriter(path, None)
    writer.add(b"block")
    writer.finish({"told": 1})
    with zipfile.ZipFile(path) as came:
        members = {one: came.read(one) for one in came.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**members, **changes}.items():
            archive.writestr(name, data)
    return path


def test_a_catalogue_that_unpacks_without_end_is_unpacked_up_to_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LONGEST_TEXT", 2**16)
    bomb = zlib.compress(seal({"pieces": [], "x": "0" * 2**20}), 9)
    path = state(tmp_path / "a.sepstate", catalogue=bomb)
    assert "its catalogue is not what was written" in complaint(state_files, [path])


def test_a_catalogue_that_nobody_could_read_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LONGEST_TEXT", 2**10)
    writer = StateWriter(tmp_path / "a.sepstate", None)
    writer.add(b"block")
    assert "export fewer cells" in complaint(writer.finish, {"x": "0" * 2**10})
    writer.abandon()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [1, -1, 10**9])
def test_a_piece_that_there_is_not_is_damage(number: int, tmp_path: Path) -> None:
    (found,) = state_files([state(tmp_path / "a.sepstate")])
    assert found.block(0) == b"block"
    assert f"it names a piece {number} that it does not have" in complaint(found.block, number)


@pytest.mark.parametrize("part", [-1, True, 1.0, None, "0", 10**9, [0]])
def test_a_file_that_has_no_number_among_its_like_is_damaged(part: Any, tmp_path: Path) -> None:
    path = state(tmp_path / "a.sepstate", part=seal({"format": 1, "id": "x", "part": part}))
    assert "what it says of itself is not what was written" in complaint(state_files, [path])


def test_members_that_name_places_elsewhere_are_never_written(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = state(tmp_path / "in" / "a.sepstate")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../x", b"x")
        archive.writestr("/x", b"x")
    (found,) = state_files([path])
    with found:
        found.check()
        assert found.block(0) == b"block"
    assert [one.name for one in tmp_path.iterdir()] == ["in"]
