"""What a kill, a full disk or one that refuses leaves in a store: the old or the new, and nothing between."""

import errno
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.core.errors import SepbenchError
from bench.store.artifacts import Store
from bench.store.draft import Draft
from tests.making.artifacts import KEY, KIND, commit, files, holds, is_same, truncate, weights
from tests.making.forks import FORKS


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


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
