"""Artifacts between two homes of which neither sees the other: exact, checked on arrival, each file once."""

import logging
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.core.errors import SepbenchError
from bench.store import lock
from bench.store.depot import Depot
from bench.store.fetching import NotThere, fetch, fetch_draft, send, send_draft
from bench.store.home import Home

KEY = "ab" * 32
NAMES = ["epoch-000", "epoch-001", "epoch-002"]


@pytest.fixture
def here(tmp_path: Path) -> Home:
    """The home behind the depot, with a surrogate."""
    home = Home(tmp_path / "here")
    commit(home, "surrogate", seed=0)
    return home


@pytest.fixture
def there(tmp_path: Path) -> Home:
    return Home(tmp_path / "there")


def commit(home: Home, kind: str, seed: int) -> None:
    draft = home.store.draft(kind, KEY)
    generator = torch.Generator().manual_seed(seed)
    for name in NAMES:
        draft.put(name, {"weight": torch.randn(40, generator=generator)})
    draft.commit({"history": {"test_acc": [0.5, 0.25]}, "seed": seed}, NAMES)


def files(home: Home, kind: str = "surrogate") -> dict[str, bytes]:
    return {name: home.store.data(kind, KEY, name) for name in home.store.names(kind, KEY)}


class Wire:
    """Calls a depot, and counts; may damage what comes and goes."""

    def __init__(self, home: Home) -> None:
        self.depot = Depot(str(home.root))
        self.asked: Counter[str] = Counter()
        self.damaged: dict[str, int] = {}

    def __call__(self, method: str, *arguments: Any) -> Any:
        self.asked[method] += 1
        damaged = self.damaged.get(method, 0) > 0
        if damaged:
            self.damaged[method] -= 1
            arguments = tuple(flipped(one) if isinstance(one, bytes) else one for one in arguments)
        answer = getattr(self.depot, method)(*arguments)
        if damaged and isinstance(answer, tuple):
            return answer[0], flipped(answer[1])
        return flipped(answer) if damaged and isinstance(answer, bytes) else answer


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def test_a_copy_has_the_files_that_were_asked_for_byte_by_byte_and_what_the_artifact_says(
    here: Home, there: Home
) -> None:
    ask = Wire(here)
    fetch(ask, there, "surrogate", KEY, ["epoch-001"])
    assert files(there) == {"epoch-001": files(here)["epoch-001"]}
    assert there.store.meta("surrogate", KEY) == here.store.meta("surrogate", KEY)
    assert there.store.has("surrogate", KEY)
    fetch(ask, there, "surrogate", KEY)
    assert files(there) == files(here)
    assert ask.asked["data"] == 3


def test_nothing_is_fetched_twice_where_several_processes_of_a_node_ask_at_once(here: Home, there: Home) -> None:
    asks = [Wire(here) for _ in range(3)]
    threads = [threading.Thread(target=fetch, args=(ask, there, "surrogate", KEY)) for ask in asks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert files(there) == files(here)
    assert sum(ask.asked["data"] for ask in asks) == 3


def test_a_copy_of_what_was_made_again_meanwhile_is_fetched_anew(here: Home, there: Home) -> None:
    ask = Wire(here)
    fetch(ask, there, "surrogate", KEY)
    here.store.set_aside("surrogate", KEY, "for a test")
    commit(here, "surrogate", seed=1)
    fetch(ask, there, "surrogate", KEY, ["epoch-002"])
    assert files(there) == {"epoch-002": files(here)["epoch-002"]}
    assert there.store.meta("surrogate", KEY)["seed"] == 1


def test_a_file_that_went_from_a_copy_is_fetched_anew(here: Home, there: Home) -> None:
    fetch(Wire(here), there, "surrogate", KEY)
    (there.store.folder("surrogate", KEY) / "epoch-000.safetensors").unlink()
    fetch(Wire(here), there, "surrogate", KEY)
    assert files(there) == files(here)


@pytest.mark.parametrize("method", ["document", "data"])
def test_what_is_damaged_on_its_way_is_fetched_again_and_damaged_three_times_it_is_refused(
    method: str, here: Home, there: Home, caplog: pytest.LogCaptureFixture
) -> None:
    ask = Wire(here)
    ask.damaged[method] = 2
    with caplog.at_level(logging.WARNING, "sepbench"):
        fetch(ask, there, "surrogate", KEY)
    assert files(there) == files(here)
    assert [" arrived damaged (" in one.message for one in caplog.records] == [True, True]
    here.store.set_aside("surrogate", KEY, "for a test")
    commit(here, "surrogate", seed=1)
    ask.damaged[method] = 3
    with pytest.raises(SepbenchError, match="arrived damaged 3 times"):
        fetch(ask, there, "surrogate", KEY)


def test_what_is_damaged_in_the_home_is_set_aside_there_and_nothing_of_it_arrives(here: Home, there: Home) -> None:
    path = here.store.folder("surrogate", KEY) / "epoch-001.safetensors"
    path.write_bytes(flipped(path.read_bytes()))
    with pytest.raises(NotThere, match=r"is damaged: .*epoch-001.* it is made again"):
        fetch(Wire(here), there, "surrogate", KEY)
    assert not here.store.has("surrogate", KEY)
    assert not there.store.has("surrogate", KEY)
    with pytest.raises(NotThere, match="is not there any more"):
        fetch(Wire(here), there, "surrogate", KEY)


def test_a_checkpoint_that_was_not_kept_is_named(here: Home, there: Home) -> None:
    here.store.thin("surrogate", KEY, ["epoch-002"])
    with pytest.raises(NotThere, match="was kept without epoch-000"):
        fetch(Wire(here), there, "surrogate", KEY, NAMES)


def held(here: Home, who: str = "me") -> Wire:
    ask = Wire(here)
    assert ask("hold", KEY, who)
    return ask


@pytest.mark.parametrize("method", ["put", "commit"])
def test_what_is_sent_stands_in_the_home_byte_by_byte_also_where_it_was_damaged_on_its_way(
    method: str, here: Home, there: Home
) -> None:
    commit(there, "craft", seed=2)
    ask = held(here)
    ask.damaged[method] = 2
    send(ask, "me", there, "craft", KEY)
    assert files(here, "craft") == files(there, "craft")
    assert here.store.meta("craft", KEY) == there.store.meta("craft", KEY)
    assert not here.store.draft("craft", KEY).folder.exists()


def test_what_is_damaged_whenever_it_is_sent_leaves_no_artifact(here: Home, there: Home) -> None:
    commit(there, "craft", seed=2)
    ask = held(here)
    ask.damaged["put"] = 99
    with pytest.raises(SepbenchError, match=r"epoch-000 of the craft artifact .* arrived damaged 3 times"):
        send(ask, "me", there, "craft", KEY)
    assert not here.store.has("craft", KEY)


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_sending_that_is_cut_off_leaves_no_artifact_and_can_be_done_again(cut: int, here: Home, there: Home) -> None:
    commit(there, "craft", seed=2)
    ask = held(here)

    def until_cut(method: str, *arguments: Any) -> Any:
        if ask.asked["put"] == cut:
            raise ConnectionError
        return ask(method, *arguments)

    with pytest.raises(ConnectionError):
        send(until_cut, "me", there, "craft", KEY)
    assert not here.store.has("craft", KEY)
    send(ask, "me", there, "craft", KEY)
    assert files(here, "craft") == files(there, "craft")


def test_unfinished_work_goes_both_ways_with_what_is_remembered_of_it_and_without_what_was_dropped(
    here: Home, there: Home
) -> None:
    mine = here.store.draft("victim", KEY)
    mine.put("state", {"weight": torch.arange(3.0)}, {"epochs": 1})
    mine.put("stale", {"weight": torch.arange(3.0)})
    ask = held(here)
    ask.damaged["unfinished_data"] = 1
    fetch_draft(ask, there, "victim", KEY)
    theirs = there.store.draft("victim", KEY)
    assert {name: (theirs.info(name), theirs.data(name)) for name in theirs.names()} == {
        name: (mine.info(name), mine.data(name)) for name in ("state", "stale")
    }
    theirs.put("state", {"weight": torch.arange(4.0)}, {"epochs": 2})
    theirs.drop("stale")
    fetch_draft(ask, there, "victim", KEY)
    assert theirs.info("state") == {"epochs": 2}
    send_draft(ask, "me", there, "victim", KEY)
    assert (mine.names(), mine.info("state")) == (["state"], {"epochs": 2})
    assert mine.data("state") == theirs.data("state")


def test_a_copy_that_lacks_files_is_not_taken_for_the_artifact_where_that_is_to_be_made_again(
    here: Home, there: Home
) -> None:
    ask = Wire(here)
    fetch(ask, there, "surrogate", KEY, ["epoch-001"])
    here.store.set_aside("surrogate", KEY, "for a test")
    fetch_draft(ask, there, "surrogate", KEY)
    assert not there.store.has("surrogate", KEY)


def test_a_worker_that_was_taken_for_dead_writes_nothing_more(here: Home, there: Home) -> None:
    commit(there, "craft", seed=2)
    ask = held(here, "the first")
    assert ask("hold", KEY, "the second")
    for leave in (send, send_draft):
        there.store.draft("craft", KEY).put("state", {})
        with pytest.raises(SepbenchError, match="another worker has begun"):
            leave(ask, "the first", there, "craft", KEY)
    send(ask, "the second", there, "craft", KEY)
    assert files(here, "craft") == files(there, "craft")


def test_a_stage_that_is_held_through_the_depot_is_held_for_all(here: Home) -> None:
    ask = held(here)
    assert lock.is_held(here.locks, KEY)
    ask("release", KEY)
    other = lock.acquire(here.locks, KEY)
    assert other is not None
    with other:
        assert not ask("hold", KEY, "me")
    assert ask("hold", KEY, "me")
    ask("enter", "a node")
    assert ask("close") == ["a node"]
    assert not lock.is_held(here.locks, KEY)
