"""What a time limit keeps, and what a person is told where it could not be kept to."""

import io
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from bench.api import METHODS
from bench.core.errors import SepbenchError, Stopped
from bench.core.giving_up import interruptible
from bench.plan.make import plan_experiment
from bench.plan.stage import Stage
from bench.run import progress
from bench.run.executors.executor import Workplace
from bench.run.invocation import Invocation, Summary, run_plan
from bench.run.progress import Clock, PlainProgress
from bench.run.stopping import Stop
from bench.spec.experiment import Experiment
from bench.store import lock
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


def test_a_stage_whose_work_is_done_does_not_say_how_long_it_takes(clock: Clockwork, tmp_path: Path) -> None:
    plan = plan_experiment(EXPERIMENT, tmp_path / "cards")
    stage: Stage = next(iter(plan.stages.values()))
    out = io.StringIO()
    watcher = PlainProgress([stage], Clock([stage], lambda stage: 20.0), out)
    watcher.started(stage)
    clock.now += 2 * progress._LINE_EVERY_SECONDS
    watcher.progress(1.0)
    assert out.getvalue() == ""
    watcher.progress(0.5)
    assert out.getvalue().startswith(f"{stage.label}: 50%, about ")


def running(stop: Stop, home: Home, monkeypatch: pytest.MonkeyPatch, craft: Callable[..., torch.Tensor]) -> Summary:
    """Run an experiment whose method crafts so."""
    monkeypatch.setattr(METHODS.get("random-noise"), "craft", craft)
    plan = plan_experiment(EXPERIMENT, home.cards)
    return run_plan(plan, Invocation(Workplace(home, torch.device("cpu"), progress.Silence(), stop)))


@pytest.mark.parametrize("stubborn", [False, True], ids=["an error ends it", "it goes on after an error"])
def test_a_stage_that_never_ends_has_failed_and_the_others_go_on(
    stubborn: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = 0

    def never_end(*arguments: object) -> torch.Tensor:
        nonlocal errors
        signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)  # as if most of the hour were over
        while True:
            try:
                time.sleep(60)
            except Exception:
                errors += 1
                if not stubborn or errors == 3:
                    raise

    before = signal.getsignal(signal.SIGALRM)
    summary = running(Stop(stage_limit=3600), Home(tmp_path), monkeypatch, never_end)
    (broken, victim) = summary.broken
    assert broken.reason == (
        "it took longer than --stage-limit 1 h 00 min: what it has saved is kept, and the same command goes on with "
        "it; give more time where it needs it"
    )
    assert victim.cause == broken.stage.label
    assert [record.method for record in summary.records if record.status == "done"] == ["none"]
    assert errors == (3 if stubborn else 1)
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    again = running(Stop(stage_limit=3600), Home(tmp_path), monkeypatch, lambda self, data, *rest: data.x)
    assert [record.status for record in again.records] == ["done", "done"]


def test_stages_together_may_take_longer_than_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float] = []

    def set_timer(which: int, seconds: float, interval: float = 0.0) -> tuple[float, float]:
        limits.append(seconds)
        return 0.0, 0.0

    monkeypatch.setattr(signal, "setitimer", set_timer)
    summary = running(Stop(stage_limit=7), Home(tmp_path), monkeypatch, lambda self, data, *rest: data.x)
    assert not summary.broken
    assert limits == [7, 0] * 4


def test_in_a_thread_of_its_own_no_stage_is_limited(tmp_path: Path) -> None:
    def take_time() -> str:
        with Stop(stage_limit=0.01).on_a_stage():
            time.sleep(0.1)
        return "done"

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(take_time).result() == "done"


def test_a_lock_is_never_left_by_a_stage_that_is_given_up(tmp_path: Path) -> None:
    from bench.run.executors.local import claiming
    from bench.run.stages.workbench import Workbench
    from bench.store.artifacts import Store

    stage = next(iter(plan_experiment(EXPERIMENT, tmp_path / "cards").stages.values()))
    bench = claiming(Workbench(None, Store(tmp_path), torch.device("cpu")), stage, tmp_path)  # type: ignore[arg-type]
    given_up = 0
    for turn in range(40):
        try:
            with Stop(stage_limit=3600).on_a_stage():
                signal.setitimer(signal.ITIMER_REAL, 0.001 + 0.0002 * turn, 0.002)
                while True:
                    with bench.claim("part") as mine, interruptible():
                        assert mine
        except SepbenchError:
            given_up += 1
        assert not lock.is_held(tmp_path, f"{stage.key}-part")
    assert given_up == 40


def test_a_timer_that_the_caller_had_set_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGALRM, signal.SIG_IGN)
    try:
        signal.setitimer(signal.ITIMER_REAL, 500, 7)
        with Stop(stage_limit=3600).on_a_stage():
            assert signal.getitimer(signal.ITIMER_REAL)[0] > 3000
        left, interval = signal.getitimer(signal.ITIMER_REAL)
        assert (400 < left <= 500, interval) == (True, 7)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
