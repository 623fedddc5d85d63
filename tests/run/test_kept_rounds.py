"""Where a method that trains keeps its rounds: as often as it is worth, with the time of all processes."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from bench.run.stages import kept_rounds
from bench.run.stages.kept_rounds import KeptRounds
from bench.store.artifacts import Store
from bench.store.draft import Draft

STATE = {"tensor": torch.arange(3)}


class Clock:
    """Time that passes where a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(kept_rounds, "time", SimpleNamespace(perf_counter=clock.perf_counter))
    return clock


@pytest.fixture
def draft(tmp_path: Path) -> Draft:
    return Store(tmp_path).draft("craft", "a" * 64)


def slow_disk(monkeypatch: pytest.MonkeyPatch, clock: Clock, seconds: float) -> None:
    put: Callable[..., None] = Draft.put

    def put_slowly(*given: object, **named: object) -> None:
        clock.now += seconds
        put(*given, **named)

    monkeypatch.setattr(Draft, "put", put_slowly)


def test_what_is_kept_is_read_back_by_another_process(draft: Draft, clock: Clock) -> None:
    KeptRounds(draft).put("state-rounds", STATE, {"done": 4})
    draft.put("shard-0", STATE)
    again = KeptRounds(draft)
    assert again.names() == ["state-rounds"]
    assert torch.equal(again.tensors("state-rounds")["tensor"], STATE["tensor"])
    assert again.info("state-rounds")["done"] == 4


def test_what_is_damaged_is_not_read_back(draft: Draft, clock: Clock) -> None:
    KeptRounds(draft).put("state-rounds", STATE, {"done": 4})
    (file,) = draft.folder.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    again = KeptRounds(draft)
    assert again.names() == []
    assert again.seconds == 0


def test_it_keeps_no_more_often_than_every_20_seconds(draft: Draft, clock: Clock) -> None:
    rounds = KeptRounds(draft)
    clock.now += 20
    assert not rounds.due()
    clock.now += 1
    assert rounds.due()
    rounds.put("state-rounds", STATE, {})
    assert not rounds.due()
    clock.now += 21
    assert rounds.due()


def test_keeping_takes_no_more_than_a_twentieth_of_the_time(
    draft: Draft, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_disk(monkeypatch, clock, 4)
    rounds = KeptRounds(draft)
    rounds.put("state-rounds", STATE, {})
    clock.now += 79
    assert not rounds.due()
    clock.now += 2
    assert rounds.due()


def test_the_seconds_of_a_killed_process_count_up_to_what_it_kept(draft: Draft, clock: Clock) -> None:
    first = KeptRounds(draft)
    clock.now += 30
    first.put("state-training", STATE, {})
    clock.now += 12
    first.put("state-search", STATE, {})
    clock.now += 100  # of which nothing is kept
    second = KeptRounds(draft)
    assert second.seconds == 42
    clock.now += 8
    assert second.seconds == 50
    second.put("state-search", STATE, {})
    assert KeptRounds(draft).seconds == 50
