"""Victims that share a device are measured at the same time, in processes of their own."""

import json
import time
from typing import Any

import pytest
import torch

from bench.core.errors import SepbenchError
from bench.perf import side_by_side as module
from bench.perf.turns import Apart
from tests.making.asking import done, refusal
from tests.making.networks import CPU


@pytest.mark.slow
def test_perf_of_victims_prints_json(loops_in_forks: None) -> None:
    told = json.loads(
        done("perf", "victims", "--network", "resnet8", "--victims", "2", "--images", "16", "--batch", "8")
    )
    assert (told["what"], told["architecture"], told["images"]) == ("victims", "resnet8", 16)
    assert [row["victims"] for row in told["rows"]] == [1, 2]
    assert told["rows"][0]["ratio"] == 1
    assert all(row["images_per_second"] > 0 for row in told["rows"])


@pytest.mark.usefixtures("own_place")
def test_what_is_no_number_of_victims_is_refused() -> None:
    assert refusal("perf", "victims", "--victims", "1,0").startswith("--victims 1,0: '0' is not one of its values")


class Recorded(Apart):
    """A victim that does nothing but note when it begins and is waited for."""

    def __init__(self, name: int, notes: list[str]) -> None:
        self._name, self._notes = name, notes

    def begin(self, threads: int | None = None) -> None:
        self._notes.append(f"{self._name} begins on {threads}")

    def wait(self) -> None:
        self._notes.append(f"{self._name} ends")


def test_all_begin_before_one_is_waited_for_and_share_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[str] = []
    clock = iter(range(1000))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 6)
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))

    class Block:
        made = 0

        def __init__(self, *arguments: Any) -> None:
            self.victim = Recorded(Block.made, notes)
            Block.made += 1

        def __enter__(self) -> Apart:
            return self.victim

        def __exit__(self, *ended: object) -> None:
            pass

    monkeypatch.setattr(module, "apart", Block)
    told = module.victims_throughput("resnet8", [4], 8, 2, 10, CPU)
    assert Block.made == 4
    assert notes[:2] == ["0 begins on 6", "0 ends"]
    assert notes[2:10] == [f"{one} begins on 1" for one in range(4)] + [f"{one} ends" for one in range(4)]
    # Each epoch takes one tick of this clock, however many train in it.
    assert [(row["victims"], row["images_per_second"], row["ratio"]) for row in told["rows"]] == [
        (1, 10.0, 1.0),
        (4, 40.0, 4.0),
    ]


def test_a_victim_that_ends_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def send(self, message: object) -> None:
            raise BrokenPipeError

    with pytest.raises(SepbenchError, match="the process of a measured loop ended before its time"):
        Apart(Gone()).begin()  # type: ignore[arg-type]
