"""Drafts: artifacts in the making, which go on where another process left off, and are committed once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.store.artifacts import Store
from tests.making.artifacts import KEY, KIND, commit, files, flip, holds, is_same, truncate, weights


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


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
