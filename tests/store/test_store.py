"""The store: what was written is what is read, damage is noticed, a kill or a full disk loses nothing."""

import errno
import logging
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.core.errors import SepbenchError
from bench.store.artifacts import CorruptArtifact, Store
from bench.store.draft import Draft
from bench.store.sealed import seal, unseal
from tests.making.forks import FORKS

KIND, KEY = "surrogate", "0123456789abcdef" * 4


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def weights(value: int) -> dict[str, Tensor]:
    return {"weight": torch.full((4, 3), float(value)), "steps": torch.tensor(value)}


def is_same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(a[k].dtype == b[k].dtype and torch.equal(a[k], b[k]) for k in a)


def commit(store: Store, value: int = 1) -> Path:
    """Put an artifact of two files into the store; return its folder."""
    draft = store.draft(KIND, KEY)
    draft.put("first", weights(value))
    draft.put("second", weights(value + 1))
    draft.commit({"value": value}, keep=["first", "second"])
    return store.root / KIND / KEY[:2] / KEY


def holds(store: Store, value: int = 1) -> bool:
    return (
        store.has(KIND, KEY)
        and store.meta(KIND, KEY) == {"value": value}
        and is_same(store.tensors(KIND, KEY, "first"), weights(value))
        and is_same(store.tensors(KIND, KEY, "second"), weights(value + 1))
    )


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path, position: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


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


def test_a_draft_goes_on_where_another_left_off(store: Store) -> None:
    store.draft(KIND, KEY).put("epoch", weights(3), {"epoch": 3})
    draft = store.draft(KIND, KEY)
    assert draft.names() == ["epoch"]
    assert draft.info("epoch") == {"epoch": 3}
    draft.put("epoch", weights(4), {"epoch": 4})
    assert draft.info("epoch") == {"epoch": 4}
    assert is_same(draft.tensors("epoch"), weights(4))
    assert len(files(draft.folder)) == 2
    draft.put("epoch", weights(4), {"epoch": 5})
    assert draft.info("epoch") == {"epoch": 5}
    assert is_same(draft.tensors("epoch"), weights(4))


def test_a_dropped_or_discarded_name_is_gone(store: Store) -> None:
    draft = store.draft(KIND, KEY)
    draft.put("a", weights(1))
    draft.put("a-b", weights(2))
    draft.drop("a")
    assert draft.names() == ["a-b"]
    for read in (draft.tensors, draft.info):
        with pytest.raises(KeyError, match="a"):
            read("a")
    draft.discard()
    assert draft.names() == []
    assert files(store.root) == []


@pytest.mark.parametrize("damage", [truncate, flip, Path.unlink])
@pytest.mark.parametrize("pattern", ["bad.*.safetensors", "bad*.json"])
def test_a_damaged_draft_file_is_ignored_with_a_warning(
    store: Store, caplog: pytest.LogCaptureFixture, pattern: str, damage: Callable[[Path], None]
) -> None:
    draft = store.draft(KIND, KEY)
    draft.put("bad", weights(1))
    draft.put("good", weights(2))
    damage(next(draft.folder.glob(pattern)))
    with pytest.raises(KeyError, match="bad"):
        draft.tensors("bad")
    with pytest.raises(KeyError, match="bad"):
        draft.commit({}, keep=["good", "bad"])
    assert draft.names() == ["good"]
    assert is_same(draft.tensors("good"), weights(2))
    draft.put("bad", weights(3))
    assert is_same(draft.tensors("bad"), weights(3))
    assert ("ignored 'bad'" in caplog.text) != (damage is Path.unlink and "json" in pattern)


@pytest.mark.parametrize("name", ["", "a.b", "../a", "a/b", "a*", "é"])
def test_a_name_that_is_no_file_name_is_refused(store: Store, name: str) -> None:
    with pytest.raises(ValueError, match="use letters, digits, - and _"):
        store.draft(KIND, KEY).put(name, weights(1))


def test_a_file_may_be_called_meta(store: Store) -> None:
    draft = store.draft(KIND, KEY)
    draft.put("meta", weights(1))
    draft.commit({"value": 1}, keep=["meta"])
    assert store.meta(KIND, KEY) == {"value": 1}
    assert is_same(store.tensors(KIND, KEY, "meta"), weights(1))


def test_committing_again_changes_nothing(store: Store) -> None:
    first = commit(store, value=1)
    inode = first.stat().st_ino
    assert commit(store, value=7) == first
    assert holds(store, value=1)
    assert first.stat().st_ino == inode
    assert len(files(store.root)) == 3


def test_of_two_drafts_of_one_key_the_first_commit_stands(store: Store) -> None:
    one, two = store.draft(KIND, KEY), store.draft(KIND, KEY)
    for draft in (one, two):
        draft.put("first", weights(1))
        draft.put("second", weights(2))
    one.commit({"value": 1}, keep=["first", "second"])
    two.commit({"value": 2}, keep=["first", "second"])
    assert holds(store, value=1)
    assert len(files(store.root)) == 3


def test_a_commit_in_place_of_a_damaged_artifact_sets_that_aside(store: Store) -> None:
    truncate(commit(store, value=1) / "first.safetensors")
    commit(store, value=5)
    assert holds(store, value=5)
    assert len(files(store.root / "set-aside")) == 4


def put_without_end(root: Path, tell: Connection) -> None:
    draft = Store(root).draft(KIND, KEY)
    for value in count(draft.info("shard")["value"] + 1 if draft.names() else 0):
        tell.send(value)
        draft.put("shard", {"x": torch.full((50_000,), value)}, {"value": value})


@pytest.mark.slow
def test_a_process_killed_at_any_moment_leaves_its_last_put_or_the_one_in_progress(store: Store) -> None:
    for _ in range(6):
        told, tell = FORKS.Pipe(duplex=False)
        child = FORKS.Process(target=put_without_end, args=(store.root, tell), daemon=True)
        child.start()
        tell.close()
        for _ in range(8):
            running = told.recv()
        child.kill()
        child.join()
        while told.poll():
            try:
                running = told.recv()
            except EOFError:
                break
        draft = store.draft(KIND, KEY)
        assert draft.names() == ["shard"]
        value = draft.info("shard")["value"]
        assert value in (running - 1, running)
        assert is_same(draft.tensors("shard"), {"x": torch.full((50_000,), value)})


def killed_before_operation(n: int, work: Callable[[Store], None], root: Path) -> None:
    """Do `work` in a process that is killed right before its n-th operation on a file below `root`."""
    operations = 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal operations
        if arguments and str(arguments[0]).startswith(str(root)):
            operations += 1
            if operations == n:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    work(Store(root))


def each_kill(work: Callable[[Store], None], prepare: Callable[[Store], Any], folder: Path) -> list[Store]:
    """Return what `work` leaves when killed before its 1st, 2nd, … last operation, and when it is not."""
    stores = []
    prepare(Store(folder / "prepared"))
    for n in count(1):
        stores.append(Store(folder / str(n)))
        shutil.copytree(folder / "prepared", stores[-1].root)
        child = FORKS.Process(target=killed_before_operation, args=(n, work, stores[-1].root))
        child.start()
        child.join()
        if child.exitcode == 0:
            assert n > 10
            return stores
        assert child.exitcode == -signal.SIGKILL
    raise AssertionError


def put_new(store: Store) -> None:
    store.draft(KIND, KEY).put("shard", weights(2), {"value": 2})


@pytest.mark.slow
def test_a_put_killed_before_any_of_its_steps_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    found = []
    for store in each_kill(
        put_new, lambda store: store.draft(KIND, KEY).put("shard", weights(1), {"value": 1}), tmp_path
    ):
        draft = store.draft(KIND, KEY)
        assert draft.names() == ["shard"]
        found.append(draft.info("shard")["value"])
        assert is_same(draft.tensors("shard"), weights(found[-1]))
        draft.put("shard", weights(3))
        assert len(files(store.root)) == 2
    assert found == sorted(found)
    assert (found[0], found[-1]) == (1, 2)


def put_all(store: Store) -> None:
    draft = store.draft(KIND, KEY)
    draft.put("first", weights(1), {"value": 1})
    draft.put("second", weights(2), {"value": 2})
    draft.put("progress", weights(3), {"value": 3})


def put_all_beside_a_damaged_artifact(store: Store) -> None:
    truncate(commit(store) / "first.safetensors")
    put_all(store)


def commit_all(store: Store) -> None:
    store.draft(KIND, KEY).commit({"value": 1}, keep=["first", "second"])


def is_whole(draft: Draft) -> bool:
    return draft.names() == ["first", "progress", "second"] and all(
        is_same(draft.tensors(name), weights(draft.info(name)["value"])) for name in draft.names()
    )


@pytest.mark.slow
@pytest.mark.parametrize("prepare", [put_all, put_all_beside_a_damaged_artifact])
def test_a_commit_killed_before_any_of_its_steps_can_be_repeated(
    tmp_path: Path, prepare: Callable[[Store], None]
) -> None:
    found = []
    for store in each_kill(commit_all, prepare, tmp_path):
        found.append(store.has(KIND, KEY))
        assert found[-1] or is_whole(store.draft(KIND, KEY))
        commit_all(store)
        assert holds(store)
        assert not (store.root / "drafts" / f"{KIND}-{KEY}").exists()
    assert found == sorted(found)
    assert (found[0], found[-1]) == (False, True)


class FullDisk:
    """Make the n-th and every later `os.fsync` fail as on a full disk."""

    def __init__(self, n: int, patch: pytest.MonkeyPatch) -> None:
        self.left, self.sync = n - 1, os.fsync
        patch.setattr(os, "fsync", self)

    def __call__(self, descriptor: int) -> None:
        if self.left == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.left -= 1
        self.sync(descriptor)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_a_put_on_a_full_disk_leaves_the_old_or_the_new_and_no_scraps(
    store: Store, monkeypatch: pytest.MonkeyPatch, n: int
) -> None:
    draft = store.draft(KIND, KEY)
    draft.put("shard", weights(1), {"value": 1})
    with monkeypatch.context() as patch:
        FullDisk(n, patch)
        with pytest.raises(SepbenchError, match=r"No space left on device.*free some space") as failure:
            put_new(store)
    assert str(draft.folder) in str(failure.value)
    assert is_same(draft.tensors("shard"), weights(draft.info("shard")["value"]))
    assert not [name for name in files(store.root) if name.endswith(".tmp")]


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_a_commit_on_a_full_disk_can_be_repeated(store: Store, monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    put_all(store)
    with monkeypatch.context() as patch:
        FullDisk(n, patch)
        with pytest.raises(SepbenchError, match=r"No space left on device.*free some space"):
            commit_all(store)
    assert is_whole(store.draft(KIND, KEY))
    assert not [name for name in files(store.root) if name.endswith(".tmp")]
    commit_all(store)
    assert holds(store)


def put_beyond_the_limit(root: Path, tell: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        Store(root).draft(KIND, KEY).put("first", {"x": torch.zeros(100_000)})
    except SepbenchError as error:
        tell.send(str(error))


@pytest.mark.slow
def test_a_file_the_system_cuts_off_is_one_clear_sentence_and_harms_nothing(store: Store) -> None:
    commit(store)
    put_all(store)
    before = files(store.root)
    told, tell = FORKS.Pipe(duplex=False)
    child = FORKS.Process(target=put_beyond_the_limit, args=(store.root, tell))
    child.start()
    tell.close()
    assert "File too large" in told.recv()
    child.join()
    assert files(store.root) == before
    assert holds(store)
    assert is_whole(store.draft(KIND, KEY))


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_disk_that_may_not_be_written_to_is_one_clear_sentence(
    store: Store, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "mkdir", refuse)
        with pytest.raises(SepbenchError, match=f"{os.strerror(code)}.*SEPBENCH_HOME"):
            commit(store)


def test_a_store_below_a_file_is_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "file", tmp_path / "file" / "store"):
        store = Store(root)
        assert not store.has(KIND, KEY)
        with pytest.raises(SepbenchError, match=r"cannot write to .*a file stands where a folder should be"):
            commit(store)


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
