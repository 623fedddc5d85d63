"""Writing while training goes on: what was put is as it was then, in order, and all of it on the disk in the end."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.core.disk import DiskError
from bench.core.errors import Stopped
from bench.engine import training
from bench.engine.background import in_background
from bench.engine.training import History
from bench.store.draft import Draft
from tests.making.trainings import STATE, draft, trained

PATIENCE = 60.0


class HeldBack:
    """A disk that writes only once it is let."""

    def __init__(self, real: Draft, patch: pytest.MonkeyPatch) -> None:
        self.may_write, self.asked, self.written = threading.Event(), list[str](), list[str]()
        put = real.put

        def held(name: str, tensors: Mapping[str, Tensor], info: Mapping[str, Any] = {}) -> None:
            self.asked.append(name)
            assert self.may_write.wait(PATIENCE)
            put(name, tensors, info)
            self.written.append(name)

        patch.setattr(real, "put", held)


def test_training_goes_on_and_what_is_written_is_from_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, weights = draft(tmp_path), torch.ones(3, 5).t()
    disk = HeldBack(made, monkeypatch)
    with in_background(made) as background:
        background.put("epoch-000", {"weights": weights}, {"epoch": 0})
        weights.mul_(7)
        assert disk.written == []
        disk.may_write.set()
    assert torch.equal(made.tensors("epoch-000")["weights"], torch.ones(5, 3))
    assert made.info("epoch-000") == {"epoch": 0}


def test_one_is_written_at_a_time_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = draft(tmp_path)
    disk = HeldBack(made, monkeypatch)
    names = [f"epoch-{epoch:03d}" for epoch in range(4)]

    def let() -> None:
        disk.may_write.set()

    with in_background(made) as background:
        background.put(names[0], {"weights": torch.ones(2)})
        later = threading.Timer(0.2, let)
        later.start()
        background.put(names[1], {"weights": torch.ones(2)})
        assert disk.written == names[:1], "the second was taken while the first was not written"
        for name in names[2:]:
            background.put(name, {"weights": torch.ones(2)})
        later.join()
    assert disk.asked == disk.written == names == made.names()


@pytest.mark.parametrize("error", [Stopped, KeyboardInterrupt, ValueError])
def test_all_of_it_is_on_the_disk_however_the_block_ends(error: type[BaseException], tmp_path: Path) -> None:
    made = draft(tmp_path)

    def put_and_end() -> None:
        with in_background(made) as background:
            background.put("one", {"weights": torch.ones(2)})
            background.put("two", {"weights": torch.ones(2)})
            raise error("enough")

    with pytest.raises(error):
        put_and_end()
    assert made.names() == ["one", "two"]


def full(name: str, tensors: Mapping[str, Tensor], info: Mapping[str, Any] = {}) -> None:
    raise DiskError(f"no room for {name}")


def test_a_put_that_failed_is_raised_by_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, reached = draft(tmp_path), []
    monkeypatch.setattr(made, "put", full)

    def put_twice() -> None:
        with in_background(made) as background:
            for name in ("one", "two"):
                background.put(name, {"weights": torch.ones(2)})
                reached.append(name)

    with pytest.raises(DiskError, match="no room for one"):
        put_twice()
    assert reached == ["one"]


def test_the_last_put_that_failed_is_raised_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = draft(tmp_path)
    monkeypatch.setattr(made, "put", full)
    with pytest.raises(DiskError, match="no room for one"), in_background(made) as background:
        background.put("one", {"weights": torch.ones(2)})


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "in_background", lambda draft, meanwhile: in_background(draft))


def test_on_a_cpu_what_was_put_is_on_the_disk_at_once(tmp_path: Path) -> None:
    on_disk: list[list[str]] = []
    trained(tmp_path, on_epoch=lambda history: on_disk.append(draft(tmp_path).names()))
    assert [len(names) for names in on_disk] == [1, 2, 3]


def test_training_that_writes_meanwhile_leaves_the_same_files(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    trained(tmp_path / "waiting")
    request.getfixturevalue("as_on_a_gpu")
    trained(tmp_path / "meanwhile")
    digests = [
        {path.name for path in draft(tmp_path / one).folder.glob("*.safetensors")} for one in ("meanwhile", "waiting")
    ]
    assert digests[0] == digests[1]
    assert len(digests[0]) == 3


@pytest.mark.usefixtures("as_on_a_gpu")
def test_no_thread_is_left(tmp_path: Path) -> None:
    before = threading.active_count()
    trained(tmp_path)
    assert threading.active_count() == before


@pytest.mark.usefixtures("as_on_a_gpu")
def test_a_full_disk_ends_training_within_an_epoch_and_what_was_written_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, seen = Draft.put, []

    def filling(self: Draft, name: str, tensors: Mapping[str, Tensor], info: Mapping[str, Any] = {}) -> None:
        if name == "epoch-001":
            full(name, tensors)
        put(self, name, tensors, info)

    monkeypatch.setattr(Draft, "put", filling)
    with pytest.raises(DiskError, match="no room for epoch-001"):
        trained(tmp_path, on_epoch=lambda history: seen.append(len(history)))
    assert seen == [1, 2]
    assert draft(tmp_path).names() == ["epoch-000"]


@pytest.mark.usefixtures("as_on_a_gpu")
def test_a_state_is_never_on_the_disk_before_the_checkpoints_that_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "_SAVE_EVERY_SECONDS", 0.0)
    put, order = Draft.put, []

    def noting(self: Draft, name: str, tensors: Mapping[str, Tensor], info: Mapping[str, Any] = {}) -> None:
        put(self, name, tensors, info)
        order.append(name if name != STATE else f"{STATE} of {len(info['history']['train_loss'])}")

    def stop(history: History) -> None:
        if len(history) == 3:
            raise Stopped("enough")

    monkeypatch.setattr(Draft, "put", noting)
    with pytest.raises(Stopped):
        trained(tmp_path, on_epoch=stop)
    assert order == ["epoch-000", "state of 1", "epoch-001", "state of 2", "epoch-002", "state of 3"]
