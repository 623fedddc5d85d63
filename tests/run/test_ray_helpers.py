"""Who helps with which stage on a Ray cluster, and when nobody does any more; Ray itself is played."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.plan.make import make_plan
from bench.plan.stage import Stage
from bench.run.executors.ray_helpers import RayHelpers
from bench.run.executors.ray_request import Request
from bench.run.executors.ray_worker import Errand, help_on
from bench.spec.experiment import Experiment
from tests.making.cards import CARD
from tests.making.experiments import FIELDS

ONE_CORE = Request(1.0, 0.0, 1)


class RayError(Exception):
    pass


class PlayedRay:
    """What the helpers ask of Ray: tasks that end when a test says so."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.ended: dict[int, Callable[[], bool]] = {}
        self.cancelled: list[int] = []
        self.exceptions = SimpleNamespace(RayError=RayError)

    def remote(self, max_calls: int) -> Any:
        def of(function: Any) -> Any:
            assert (function, max_calls) == (help_on, 0)
            return SimpleNamespace(options=self._options)

        return of

    def _options(self, name: str, **resources: Any) -> Any:
        assert resources == {"num_cpus": 1.0, "num_gpus": 0.0, "max_retries": 0}

        def send(errand: str, key: str, threads: int, mailbox: str) -> int:
            assert (errand, threads, mailbox) == ("errand", 1, "mailbox")
            self.sent.append((name, key))
            return len(self.sent) - 1

        return SimpleNamespace(remote=send)

    def wait(self, refs: list[int], num_returns: int, timeout: float) -> tuple[list[int], list[int]]:
        assert (num_returns, timeout) == (len(refs), 0)
        return [one for one in refs if one in self.ended], []

    def get(self, ref: int) -> bool:
        return self.ended[ref]()

    def cancel(self, ref: int) -> None:
        self.cancelled.append(ref)


def dies() -> bool:
    raise RayError("its node is gone")


@pytest.fixture
def ray() -> PlayedRay:
    return PlayedRay()


@pytest.fixture
def stages() -> dict[str, Stage]:
    plan = make_plan(Experiment.model_validate(FIELDS), CARD)
    return {stage.label.split()[1] if stage.kind == "craft" else stage.kind: stage for stage in plan.stages.values()}


def helpers(ray: PlayedRay, images: int = 4096) -> RayHelpers:
    card = CARD.model_copy(update={"n_protected": images, "height": 32, "width": 32})
    return RayHelpers(ray, "errand", "mailbox", card)


def send(helpers: RayHelpers, stages: dict[str, Stage], free: int, fraction: float = 0.1) -> None:
    at_work = [*stages.values()]
    keys = [one.key for one in at_work]
    helpers.send(at_work, dict.fromkeys(keys, fraction), dict.fromkeys(keys, ONE_CORE), free)


def test_only_what_crafts_shards_with_networks_is_helped_with(ray: PlayedRay, stages: dict[str, Stage]) -> None:
    assert {"sep", "none", "random-noise", "surrogate", "victim"} <= set(stages)
    send(helpers(ray), stages, free=9)
    assert ray.sent == [("help with craft sep linf-32", stages["sep"].key)] * 3, "of four shards one is being crafted"
    send(helpers(ray, images=1024), stages, free=9)
    assert len(ray.sent) == 3


def test_nobody_helps_before_the_first_step_or_where_there_is_no_room(ray: PlayedRay, stages: dict[str, Stage]) -> None:
    one = helpers(ray)
    send(one, stages, free=9, fraction=0.0)
    send(one, stages, free=0)
    send(one, stages, free=-2)
    assert ray.sent == []
    send(one, stages, free=2)
    assert len(ray.sent) == 2
    send(one, stages, free=2)
    assert len(ray.sent) == 2, "they are at work"


def test_once_a_helper_has_come_through_nobody_else_is_sent(ray: PlayedRay, stages: dict[str, Stage]) -> None:
    one = helpers(ray)
    send(one, stages, free=1)
    ray.ended[0] = lambda: True
    send(one, stages, free=1)
    assert len(ray.sent) == 1


def test_helpers_that_die_are_replaced_twice(ray: PlayedRay, stages: dict[str, Stage]) -> None:
    one = helpers(ray)
    for _ in range(5):
        send(one, stages, free=1)
        ray.ended[len(ray.sent) - 1] = dies
    assert len(ray.sent) == 3


def test_a_helper_whose_stage_has_ended_is_called_off(ray: PlayedRay, stages: dict[str, Stage]) -> None:
    one = helpers(ray)
    send(one, stages, free=1)
    send(one, {name: stage for name, stage in stages.items() if name != "sep"}, free=1)
    assert ray.cancelled == [0]


def test_at_the_end_those_that_are_left_are_called_off(ray: PlayedRay, stages: dict[str, Stage]) -> None:
    one = helpers(ray)
    send(one, stages, free=2)
    one.close()
    assert ray.cancelled == [0, 1]


def test_a_node_without_the_home_or_of_another_version_helps_with_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # which a worker sets
    errand = Errand("{}", "/shared/home", str(tmp_path / "mark"), str(tmp_path), {})
    assert help_on(errand, "key", 1, mailbox=None) is False
    (tmp_path / "mark").touch()
    assert help_on(replace(errand, version="0.0"), "key", 1, mailbox=None) is False
