"""Rounds of a method that trains while it crafts: kept, restored in place, and reported as they are done."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.checks.memory_keeper import MemoryKeeper
from bench.contracts.context import CraftContext
from bench.core.errors import Stopped
from tests.making.networks import CPU


class Always(MemoryKeeper):
    """Finds it time to keep after every round."""

    def due(self) -> bool:
        return True


class Counter:
    """Changes from round to round, and is no tensor."""

    def __init__(self) -> None:
        self.count = torch.zeros(())

    def state(self) -> dict[str, Tensor]:
        return {"count": self.count}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.count = state["count"]


def context(keeper: MemoryKeeper | None = None) -> CraftContext:
    return CraftContext([], seed=0, device=CPU, keeper=keeper)


def killed_in(round_: int, rounds: Iterator[int]) -> Iterator[int]:
    """Yield rounds up to one that is not finished."""
    for one in rounds:
        if one == round_:
            return
        yield one


def test_without_a_place_to_keep_all_rounds_are_yielded() -> None:
    assert [*context().rounds(3, tensor=torch.zeros(2))] == [0, 1, 2]


def test_a_tensor_becomes_in_place_what_it_was_after_the_last_round_that_was_kept() -> None:
    keeper = Always()
    before = torch.zeros(2)
    for _ in killed_in(2, context(keeper).rounds(4, tensor=before)):
        before += 1
    before += 100  # of the round that was killed
    after = torch.zeros(2)
    seen = []
    for round_ in context(keeper).rounds(4, tensor=after):
        after += 1
        seen.append(round_)
    assert seen == [2, 3]
    assert after.tolist() == [4, 4]


def test_what_holds_several_tensors_is_restored_beside_others() -> None:
    keeper, first, tensor = Always(), Counter(), torch.zeros(())
    for _ in killed_in(1, context(keeper).rounds(3, counter=first, tensor=tensor)):
        first.count += 10
        tensor += 1
    second, other = Counter(), torch.zeros(())
    for _ in context(keeper).rounds(3, counter=second, tensor=other):
        second.count += 10
        other += 1
    assert (float(second.count), float(other)) == (30, 3)


def test_what_was_spent_is_restored() -> None:
    keeper, ctx = Always(), context()
    ctx.keeper = keeper
    for _ in killed_in(2, ctx.rounds(4)):
        ctx.spent += 7
    resumed = context(keeper)
    for _ in resumed.rounds(4):
        resumed.spent += 7
    assert resumed.spent == 28


def test_nothing_is_kept_before_it_is_time_but_after_the_last_round() -> None:
    keeper = MemoryKeeper()
    rounds = context(keeper).rounds(3)
    assert [next(rounds), next(rounds), next(rounds)] == [0, 1, 2]
    assert keeper.names() == []
    assert [*rounds] == []
    assert keeper.info("state-rounds")["done"] == 3
    assert [*context(keeper).rounds(3)] == []


def test_a_stop_keeps_the_round_that_was_done_whether_it_is_time_or_not() -> None:
    def stop() -> None:
        raise Stopped("of a test")

    keeper, tensor = MemoryKeeper(), torch.zeros(())
    ctx = context(keeper)
    ctx.on_round = stop
    rounds = ctx.rounds(3, tensor=tensor)
    assert next(rounds) == 0
    tensor += 1
    with pytest.raises(Stopped):
        next(rounds)
    assert keeper.info("state-rounds")["done"] == 1
    assert float(keeper.tensors("state-rounds")["tensor/"]) == 1


def test_a_stop_does_not_keep_again_what_was_kept() -> None:
    class Counting(Always):
        puts = 0

        def put(self, name: str, tensors: Mapping[str, Tensor], info: Mapping[str, Any]) -> None:
            self.puts += 1
            super().put(name, tensors, info)

    def stop() -> None:
        raise Stopped("of a test")

    keeper = Counting()
    ctx = context(keeper)
    ctx.on_round = stop
    rounds = ctx.rounds(3)
    next(rounds)
    with pytest.raises(Stopped):
        next(rounds)
    assert keeper.puts == 1


def test_of_several_loops_those_that_are_done_are_not_done_again() -> None:
    keeper = Always()

    def craft(ctx: CraftContext, killed_at: int | None = None) -> tuple[list[str], float]:
        first, second, done = torch.zeros(()), torch.zeros(()), []
        for round_ in ctx.rounds(2, "training", (0.0, 0.5), tensor=first):
            first += 1
            ctx.spent += 1
            done.append(f"training {round_}")
        second += first
        for round_ in ctx.rounds(3, "search", (0.5, 1.0), tensor=second):
            if round_ == killed_at:
                break
            second += 10
            ctx.spent += 5
            done.append(f"search {round_}")
        return done, float(second)

    assert craft(context(keeper), killed_at=1)[0] == ["training 0", "training 1", "search 0"]
    resumed = context(keeper)
    assert craft(resumed) == (["search 1", "search 2"], 32)
    assert resumed.spent == 2 + 15


@pytest.mark.parametrize("killed_at", [None, 1])
def test_progress_never_goes_back_and_ends_at_one(killed_at: int | None) -> None:
    keeper, seen = Always(), list[float]()

    def craft(killed_at: int | None) -> None:
        ctx = context(keeper)
        ctx.on_step = seen.append
        for _ in ctx.rounds(4, "training", (0.0, 0.25)):
            for _ in ctx.progress(range(2)):
                pass
        for round_ in ctx.rounds(3, "search", (0.25, 1.0)):
            for index in range(2):
                with ctx.part(index, 2):
                    for _ in ctx.progress(range(5)):
                        pass
            if round_ == killed_at:
                return

    if killed_at is not None:
        craft(killed_at)
        assert seen[-1] == pytest.approx(0.25 + 0.75 * 2 / 3)
        seen.clear()
    craft(None)
    assert seen == sorted(seen)
    assert seen[0] > (0 if killed_at is None else 0.25 + 0.75 / 3)
    assert seen[-1] == pytest.approx(1.0)
    assert max(seen) <= 1.0


def test_the_parts_of_a_round_are_its_share_of_the_work() -> None:
    ctx, seen = context(), list[float]()
    ctx.on_step = seen.append
    for _ in ctx.rounds(2):
        with ctx.part(0, 2):
            for _ in ctx.progress("ab"):
                pass
        with ctx.part(1, 2):
            pass
    halves = [1 / 8, 2 / 8, 2 / 8, 4 / 8, 4 / 8]
    assert seen == pytest.approx([*halves, *(0.5 + one for one in halves)])
