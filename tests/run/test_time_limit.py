"""What a time limit keeps, and what a person is told where it could not be kept to."""

import io
import time
from pathlib import Path

import pytest
import torch

from bench.api import METHODS
from bench.core.errors import Stopped
from bench.plan.make import plan_experiment
from bench.plan.stage import Stage
from bench.run import progress
from bench.run.executors.executor import Workplace
from bench.run.invocation import Invocation, Summary, run_plan
from bench.run.progress import Clock, PlainProgress
from bench.run.stopping import Stop
from bench.spec.experiment import Experiment
from bench.store.home import Home
from tests.making.experiments import FIELDS

EXPERIMENT = Experiment.model_validate(
    {
        **FIELDS,
        "name": "limited",
        "recipe": {"name": "digits", "epochs": 1},
        "dataset": {"name": "digits", "limit": 40, "test_limit": 20},
        "methods": ["random-noise"],
    }
)

AT_WORK = "what was at work, such as an epoch or a shard, is finished first"


class Clockwork:
    """A clock that tests move."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clockwork:
    return Clockwork(monkeypatch)


def reason(stop: Stop) -> str | None:
    try:
        stop.check()
    except Stopped as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("limit", "after", "told"),
    [
        (10.0, 9.9, None),
        (10.0, 10.0, "stopped by --time-limit"),
        (10.0, 11.9, "stopped by --time-limit"),
        (
            10.0,
            45.0,
            f"stopped by --time-limit, 35 s late: {AT_WORK}",
        ),
        (3600.0, 3700.0, "stopped by --time-limit"),
        (
            3600.0,
            4200.0,
            f"stopped by --time-limit, 10 min 00 s late: {AT_WORK}",
        ),
    ],
)
def test_a_limit_that_could_not_be_kept_to_says_so(
    limit: float, after: float, told: str | None, clock: Clockwork
) -> None:
    stop = Stop(limit)
    clock.now += after
    assert reason(stop) == told


def test_a_stage_that_was_finished_too_late_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clockwork(monkeypatch)
    kind = METHODS.get("random-noise")
    craft = kind.craft

    def slow(*arguments: object) -> torch.Tensor:
        clock.now += 40
        return craft(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(kind, "craft", slow)
    home = Home(tmp_path)
    plan = plan_experiment(EXPERIMENT, home.cards, lambda cell: cell.method.name == "random-noise")

    def run(limit: float) -> Summary:
        watcher = PlainProgress([], Clock([], lambda stage: 0.0), io.StringIO())
        return run_plan(plan, Invocation(Workplace(home, torch.device("cpu"), watcher, Stop(limit))))

    stopped = run(10).stopped
    assert stopped is not None
    assert stopped.startswith("stopped by --time-limit, 30 s late: ")
    assert [stage.kind for stage in plan.missing(home.store.inventory())] == ["victim"]
    monkeypatch.undo()
    assert run(600).stopped is None


def test_a_stage_whose_work_is_done_does_not_say_how_long_it_takes(clock: Clockwork) -> None:
    plan = plan_experiment(EXPERIMENT, Path("cards"))
    stage: Stage = next(iter(plan.stages.values()))
    out = io.StringIO()
    watcher = PlainProgress([stage], Clock([stage], lambda stage: 20.0), out)
    watcher.started(stage)
    clock.now += 2 * progress._LINE_EVERY_SECONDS
    watcher.progress(1.0)
    assert out.getvalue() == ""
    watcher.progress(0.5)
    assert out.getvalue().startswith(f"{stage.label}: 50%, about ")
