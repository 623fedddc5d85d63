"""A stage leaves no network behind, however it ends, and one that finds too little memory says what to do."""

import gc
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.contracts.network import Network
from bench.engine import training
from bench.engine.capturing import CAPTURE
from bench.engine.memory import give_back
from bench.plan.make import plan_experiment
from bench.run.executors import local
from bench.run.executors.executor import Workplace
from bench.run.invocation import Invocation, Summary, run_plan
from bench.run.progress import Clock, PlainProgress
from bench.run.stopping import Stop
from bench.spec.experiment import Experiment
from bench.store.home import Home
from tests.making.experiments import FIELDS
from tests.making.replaying import Replaying

EXPERIMENT = Experiment.model_validate(
    {
        **FIELDS,
        "name": "one-cell",
        "recipe": {"name": "digits", "epochs": 1},
        "dataset": {"name": "digits", "limit": 40, "test_limit": 20},
        "methods": ["random-noise"],
    }
)


@contextmanager
def uncompiled(*what: Any) -> Iterator[bool]:
    yield False


def exhausted(*what: Any) -> Any:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. and more that helps nobody")


def networks() -> int:
    gc.collect()
    return sum(type(one) is Network for one in gc.get_objects())


def run(home: Path, *, compile: bool = False) -> Summary:
    found = Home(home)
    watcher = PlainProgress([], Clock([], lambda stage: 0.0), io.StringIO())
    place = Workplace(found, torch.device("cpu"), watcher, Stop(), compile=compile)
    plan = plan_experiment(EXPERIMENT, found.cards, lambda cell: cell.method.name == "random-noise")
    return run_plan(plan, Invocation(place))


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many networks more than before there are where memory is given back."""
    before, counts = networks(), list[int]()
    monkeypatch.setattr(local, "give_back", lambda device: counts.append(networks() - before))
    return counts


@pytest.mark.slow
def test_no_network_outlives_its_stage(tmp_path: Path, left: list[int]) -> None:
    done = run(tmp_path)
    assert not done.failures
    assert left == [0] * done.stages
    assert done.stages > 0


@pytest.mark.slow
def test_none_that_was_captured_outlives_its_stage(
    tmp_path: Path, left: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs = Replaying()
    monkeypatch.setitem(CAPTURE, "cpu", graphs)
    monkeypatch.setattr(training, "compiling", uncompiled)
    done = run(tmp_path, compile=True)
    assert graphs.captures > 0
    assert left == [0] * done.stages


@pytest.mark.slow
def test_where_memory_ends_the_reason_says_what_to_do_and_no_network_stays(
    tmp_path: Path, left: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "sgd_step", exhausted)
    done = run(tmp_path)
    reasons = {result.reason for result in done.failures}
    assert reasons == {
        "cpu has too little memory left to train resnet8 on 40 images of 16x16, 40 at a time: end what else is on it "
        "(--jobs 1), or lower recipe.batch_size"
    }
    assert left
    assert set(left) == {0}


def test_a_gpu_gets_back_what_nothing_uses_and_a_cpu_loses_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: calls.append("empty"))
    monkeypatch.setattr(gc, "collect", lambda: calls.append("collect"))
    give_back(torch.device("cpu"))
    assert calls == []
    give_back(torch.device("cuda", 0))
    assert calls == ["collect", "empty"], "what is found only by looking for cycles is freed first"


def test_the_device_of_a_run_is_the_current_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    home = Home(tmp_path)
    plan = plan_experiment(EXPERIMENT, home.cards)
    watcher = PlainProgress([], Clock([], lambda stage: 0.0), io.StringIO())
    for device in (torch.device("cpu"), torch.device("cuda", 1)):
        local._workbench(plan, Workplace(home, device, watcher, Stop()))
    assert chosen == [torch.device("cuda", 1)]
