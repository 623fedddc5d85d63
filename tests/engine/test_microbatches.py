"""Micro-batches: whatever their size, each image is seen once, and memory that runs out makes them smaller."""

import logging
import weakref
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench.engine.microbatches import MicroBatches, even_size

X = torch.rand(10, 3, 4, 4, generator=torch.Generator().manual_seed(0))
Y = torch.arange(10)


class Device:
    """Doubles what it is given, and has memory for only so many images at a time."""

    def __init__(self, memory: int) -> None:
        self.memory = memory
        self.tried: list[int] = []
        self.held: list[weakref.ref[Tensor]] = []

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        assert [reference() for reference in self.held] == [None] * len(self.held), "a failed call still holds memory"
        self.tried.append(len(x))
        activations = x * 2 + y[:, None, None, None]
        if len(x) > self.memory:
            self.held.append(weakref.ref(activations))
            raise torch.OutOfMemoryError("no memory")
        return activations


@pytest.mark.parametrize("size", [None, 1, 3, 7, 10, 256])
@pytest.mark.parametrize("pad", [False, True])
def test_every_image_is_seen_with_its_class_whatever_the_size(size: int | None, pad: bool) -> None:
    parts = MicroBatches(size).map(Device(1000), X, Y, pad=pad)
    assert torch.equal(torch.cat(parts)[:10], X * 2 + Y[:, None, None, None])
    assert not pad or {len(part) for part in parts} == {size or 256}


def test_memory_that_runs_out_halves_the_size_until_it_fits_and_one_line_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    device, batches = Device(2), MicroBatches(10)
    with caplog.at_level(logging.INFO, "sepbench"):
        for _ in range(2):
            assert torch.equal(torch.cat(batches.map(device, X, Y)), X * 2 + Y[:, None, None, None])
    assert device.tried == [10, 5, 3, *[2] * 5, *[2] * 5]
    assert [record.getMessage() for record in caplog.records] == [
        "cpu ran out of memory: going on with micro-batches of 5 images or fewer"
    ]


def test_memory_for_not_even_one_image_is_an_error() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        MicroBatches(10).map(Device(0), X, Y)


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    def mistaken(x: Tensor, y: Tensor) -> Any:
        raise RuntimeError("a mistake")

    batches = MicroBatches(10)
    with pytest.raises(RuntimeError, match="a mistake"):
        batches.map(mistaken, X, Y)
    assert batches.size == 10


@settings(derandomize=True, deadline=None)
@given(count=st.integers(1, 5000), limit=st.integers(-5, 6000))
def test_parts_are_as_few_and_as_equal_as_the_limit_allows(count: int, limit: int) -> None:
    size, limit = even_size(count, limit), max(limit, 16)
    sizes = [len(part) for part in torch.empty(count).split(size)]
    assert size <= limit
    assert len(sizes) == -(-count // limit)
    assert max(sizes) - min(sizes) < len(sizes) or len(sizes) == 1
