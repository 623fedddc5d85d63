"""The store: what was written is what is read, and damage is noticed."""

import errno
import logging
import os
import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from bench.core.errors import SepbenchError
from bench.store.artifacts import CorruptArtifact, Store
from bench.store.sealed import seal, unseal
from tests.making.artifacts import KEY, KIND, commit, files, flip, holds, is_same, truncate, weights


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.mark.parametrize(
    "dtype",
    [torch.uint8, torch.int64, torch.bool, torch.float16, torch.bfloat16, torch.float32, torch.float64],
)
def test_every_dtype_comes_back_as_it_was(store: Store, dtype: torch.dtype) -> None:
    tensors = {"x": (torch.rand(3, 5) * 100).to(dtype), "empty": torch.empty(0, 3, dtype=dtype)}
    draft = store.draft(KIND, KEY)
    draft.put("data", tensors)
    assert is_same(draft.tensors("data"), tensors)
    draft.commit({}, keep=["data"])
    assert is_same(store.tensors(KIND, KEY, "data"), tensors)


def test_strided_and_shared_tensors_come_back_whole_and_apart(store: Store) -> None:
    base = torch.randn(2, 3, 4, 4, requires_grad=True)
    tensors = {
        "channels_last": base.to(memory_format=torch.channels_last),
        "slice": base[:, ::2, 1:],
        "transposed": base.transpose(0, 3),
        "expanded": torch.ones(1).expand(5),
        "base": base,
        "tied": base,
    }
    draft = store.draft(KIND, KEY)
    draft.put("data", tensors)
    read = draft.tensors("data")
    assert is_same(read, tensors)
    assert all(tensor.is_contiguous() and not tensor.requires_grad for tensor in read.values())
    read["tied"].zero_()
    assert torch.equal(read["base"], base)


def test_an_artifact_is_described_without_torch(store: Store) -> None:
    commit(store)
    code = (
        "import sys; from pathlib import Path; import bench.store.lock; from bench.store.artifacts import Store\n"
        "store, artifact = Store(Path(sys.argv[1])), sys.argv[2:]\n"
        "assert store.has(*artifact) and store.meta(*artifact) == {'value': 1}\n"
        "assert store.names(*artifact) == ['first', 'second'] and 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code, store.root, KIND, KEY], check=True, cwd=Path(__file__).parents[2])


def test_an_artifact_is_its_kept_files_and_one_meta(store: Store) -> None:
    draft = store.draft(KIND, KEY)
    draft.put("weights", weights(1))
    draft.put("progress", weights(2))
    draft.commit({"seconds": 1.5, "psnr": float("inf"), "by_class": {3: (1, None)}}, keep=["weights"])
    folder = store.root / KIND / KEY[:2] / KEY
    assert files(store.root) == files(folder) == ["meta.json", "weights.safetensors"]
    assert store.meta(KIND, KEY) == {"seconds": 1.5, "psnr": float("inf"), "by_class": {"3": [1, None]}}
    assert store.names(KIND, KEY) == ["weights"]
    assert store.size(KIND, KEY) == sum(path.stat().st_size for path in folder.iterdir())


def test_an_artifact_may_be_its_meta_alone(store: Store) -> None:
    store.draft(KIND, KEY).commit({"accuracy": 91.5}, keep=[])
    assert store.has(KIND, KEY)
    assert store.meta(KIND, KEY) == {"accuracy": 91.5}
    assert store.names(KIND, KEY) == []


def test_a_store_that_was_only_read_makes_no_folder(store: Store) -> None:
    assert not store.has(KIND, KEY)
    assert store.size(KIND, KEY) == 0
    assert store.draft(KIND, KEY).names() == []
    assert store.set_aside(KIND, KEY, "gone already") is None
    with pytest.raises(CorruptArtifact, match=r"meta\.json is missing"):
        store.meta(KIND, KEY)
    store.draft(KIND, KEY).discard()
    assert not store.root.exists()


def test_a_truncated_file_is_noticed_by_a_look_and_by_reading(store: Store) -> None:
    truncate(commit(store) / "first.safetensors")
    assert not store.has(KIND, KEY)
    with pytest.raises(CorruptArtifact, match=r"first\.safetensors has \d+ bytes instead of \d+"):
        store.tensors(KIND, KEY, "first")


def test_a_missing_file_is_noticed_by_a_look_and_by_reading(store: Store) -> None:
    (commit(store) / "second.safetensors").unlink()
    assert not store.has(KIND, KEY)
    with pytest.raises(CorruptArtifact, match=r"second\.safetensors is missing"):
        store.tensors(KIND, KEY, "second")


def test_a_flipped_byte_anywhere_in_a_tensor_file_is_noticed(store: Store) -> None:
    path = commit(store) / "first.safetensors"
    for position in range(path.stat().st_size):
        flip(path, position)
        with pytest.raises(CorruptArtifact, match=r"first\.safetensors was changed"):
            store.tensors(KIND, KEY, "first")
        flip(path, position)
    assert holds(store)


def test_a_flipped_byte_anywhere_in_meta_json_is_noticed(store: Store) -> None:
    path = commit(store) / "meta.json"
    for position in range(path.stat().st_size):
        flip(path, position)
        assert not store.has(KIND, KEY)
        for read in (store.meta, store.names, partial(store.tensors, name="first")):
            with pytest.raises(CorruptArtifact, match=r"meta\.json"):
                read(KIND, KEY)
        flip(path, position)
    assert holds(store)


@pytest.mark.parametrize("text", ["", "[]", "1", "{}", '{"sha256": ""}', '{"files": {}, "meta": {}}'])
def test_a_meta_json_that_is_not_ours_is_noticed(store: Store, text: str) -> None:
    (commit(store) / "meta.json").write_text(text)
    assert not store.has(KIND, KEY)
    with pytest.raises(CorruptArtifact, match=r"meta\.json"):
        store.meta(KIND, KEY)


def test_a_file_that_never_was_safetensors_is_noticed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("safetensors.torch.save", lambda tensors: b"\xff" * 40)
    commit(store)
    with pytest.raises(CorruptArtifact, match=r"first\.safetensors is no valid safetensors file"):
        store.tensors(KIND, KEY, "first")


def test_a_name_the_artifact_does_not_have_is_noticed(store: Store) -> None:
    commit(store)
    with pytest.raises(CorruptArtifact, match=r"it has no file third\.safetensors"):
        store.tensors(KIND, KEY, "third")


def test_a_damage_reported_by_a_worker_process_arrives_whole() -> None:
    error = pickle.loads(pickle.dumps(CorruptArtifact("craft", KEY, "meta.json is missing")))
    assert (error.kind, error.key, error.what) == ("craft", KEY, "meta.json is missing")
    assert str(error) == f"the craft artifact {KEY} is damaged: meta.json is missing"


def test_setting_aside_keeps_every_byte_and_says_why(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    for n in (1, 2):
        folder = commit(store)
        truncate(folder / "first.safetensors")
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        aside = store.set_aside(KIND, KEY, "first.safetensors is short")
        assert aside == store.root / "set-aside" / f"{KIND}-{KEY}-{n}"
        assert {path.name: path.read_bytes() for path in aside.iterdir()} == before | {
            "reason.txt": b"first.safetensors is short\n"
        }
        assert not folder.exists()
    assert [(record.name, record.levelno) for record in caplog.records] == [("sepbench", logging.WARNING)] * 2
    assert "first.safetensors is short" in caplog.text


def test_unreadable_for_a_passing_reason_is_not_taken_for_damage(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    commit(store)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        with pytest.raises(SepbenchError, match=r"cannot read .*Too many open files"):
            store.has(KIND, KEY)
    assert holds(store)


def test_an_inventory_knows_what_the_store_has(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    has = store.inventory()
    assert not has(KIND, KEY)
    folder = commit(store)
    has = store.inventory()
    assert has(KIND, KEY)
    assert not has("other", KEY)
    (folder / "meta.json").unlink()
    assert not store.inventory()(KIND, KEY)
    monkeypatch.setattr(Store, "has", lambda *asked: pytest.fail("there is no folder for it"))
    assert not store.inventory()(KIND, "f" * 64)


def test_a_meta_json_that_lost_its_end_is_noticed(store: Store) -> None:
    truncate(commit(store) / "meta.json")
    assert not store.has(KIND, KEY)


def test_the_description_of_another_artifact_is_damage_and_one_of_earlier_versions_is_not(store: Store) -> None:
    folder, other = commit(store), store.draft(KIND, "f" * 64)
    other.put("first", weights(5))
    other.put("second", weights(6))
    other.commit({"value": 5}, keep=["first", "second"])
    own, moved = folder / "meta.json", store.folder(KIND, "f" * 64) / "meta.json"
    mine, theirs = own.read_bytes(), moved.read_bytes()
    own.write_bytes(theirs)
    moved.write_bytes(mine)
    for key in (KEY, "f" * 64):
        assert not store.has(KIND, key)
        with pytest.raises(CorruptArtifact, match=r"meta\.json is of another artifact"):
            store.meta(KIND, key)
    document = unseal(mine, "it")
    del document["of"]
    own.write_bytes(seal(document))
    assert holds(store)
