"""Running a plan as somebody asked for it: the part that commands and Python share."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch

from bench.plan.outlook import estimator
from bench.plan.plan import Plan
from bench.plan.plugin_sources import changed_since
from bench.plan.stage import Stage
from bench.read import attachments
from bench.record.tracking import NullTracker, Tracker, default_uri
from bench.run import progress
from bench.run.executors.executor import Executor, Watcher, Workplace, choose_executor
from bench.run.invocation import Invocation, Summary, run_plan
from bench.run.redo import came_out_other, redo
from bench.run.stopping import Stop
from bench.store.home import Home


class Display(Watcher, Protocol):
    """Who shows a person how the run goes, until it is closed."""

    def close(self) -> None:
        """Take down what is shown."""


Displaying = Callable[[list[Stage], Callable[[Stage], float]], Display]
"""From the stages to run, and about how many seconds each takes, to what shows them."""


def shown(todo: list[Stage], estimate: Callable[[Stage], float]) -> Display:
    """Show what suits where this runs."""
    return progress.choose_progress(todo, estimate)


def silent(todo: list[Stage], estimate: Callable[[Stage], float]) -> Display:
    """Show nothing."""
    return progress.Silence()


@dataclass(frozen=True)
class Means:
    """With what a plan is run: where the work is kept, on which devices, and who is told.

    Attributes
    ----------
    device, further
        Of this process, and of each further one.
    mlflow
        Whether MLflow is told.
    display
        How a person sees that it goes on.
    tell
        Is given sentences on what a person has to know before it starts.
    anew
        How that person has stages of a `{kind}` run again; None where the request knows no such option.

    """

    home: Home
    device: torch.device
    stop: Stop = field(default_factory=Stop)
    executor: Executor = field(default_factory=lambda: choose_executor("local"))
    further: tuple[torch.device, ...] = ()
    compile: bool = False
    mlflow: bool = True
    display: Displaying = shown
    tell: Callable[[str], object] = lambda sentence: None
    anew: str | None = None


@contextmanager
def workplace(plan: Plan, means: Means) -> Iterator[Workplace]:
    """Yield where the stages that a plan still needs run, with a display of them for as long."""
    home = means.home
    todo = plan.todo(home.store)
    display = means.display(todo, estimator(plan, todo, means.device, home, means.compile))
    try:
        yield Workplace(home, means.device, display, means.stop, means.further, means.compile, tell=means.mlflow)
    finally:
        display.close()


def carry_out(
    plan: Plan, means: Means, force: Sequence[str] = (), run: Callable[[Plan, Invocation], Summary] = run_plan
) -> Summary:
    """Run what a plan still needs, and the kinds of stages in `force` again.

    `run` does it where more than `run_plan` is needed. Errors are those of `run_plan`.
    """
    store = means.home.store
    redo(plan, force, store)
    for sentence in changed_since(plan, store, means.anew):
        means.tell(sentence)
    todo = plan.todo(store)
    tracker = Tracker(default_uri(means.home.root), means.home) if means.mlflow else NullTracker()
    with workplace(plan, means) as place:
        summary = run(plan, Invocation(place, means.executor, tracker, attachments.tables, attachments.figures))
    return replace(summary, doubts=(*summary.doubts, *came_out_other(todo, store)))
