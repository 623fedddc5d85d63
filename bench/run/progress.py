"""Telling a person how a run goes: a live display on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import TextIO

from bench.core.duration import duration
from bench.plan.stage import Stage, StageResult

_LINE_EVERY_SECONDS = 30.0
_TRUST = 0.05
"""The share of a run after which how it went so far counts as much as what was estimated."""


class Clock:
    """Finished and remaining work in estimated seconds, corrected by how the estimates held so far."""

    def __init__(self, todo: list[Stage], estimate: Callable[[Stage], float]) -> None:
        self._estimates = {stage.key: max(estimate(stage), 0.1) for stage in todo}
        self._done: set[str] = set()
        self._began = time.monotonic()
        self._current: tuple[str, float] = ("", 0.0)

    def begin(self, stage: Stage) -> None:
        """Note that a stage begins."""
        self._estimates.setdefault(stage.key, 1.0)
        self._current = (stage.key, 0.0)

    def advance(self, fraction: float) -> None:
        """Note how much of the current stage is done."""
        self._current = (self._current[0], fraction)

    def end(self, stage: Stage) -> None:
        """Note that a stage ended."""
        self._done.add(stage.key)
        self._current = ("", 0.0)

    @property
    def fraction(self) -> float:
        """The share of the estimated work that is done."""
        total = sum(self._estimates.values())
        return self._worked() / total if total else 1.0

    @property
    def seconds_left(self) -> float:
        """The remaining work at the pace so far."""
        worked, total = self._worked(), sum(self._estimates.values())
        elapsed = time.monotonic() - self._began
        trust = _TRUST * total  # the estimates count as so much work that held them: the pace never jumps
        return (total - worked) * (elapsed + trust) / (worked + trust) if total else 0.0

    def _worked(self) -> float:
        key, fraction = self._current
        done = sum(self._estimates.get(one, 0.0) for one in self._done)
        return done + fraction * self._estimates.get(key, 0.0)


class PlainProgress:
    """One line when a stage ends, and one every half minute while a long one runs."""

    def __init__(self, todo: list[Stage], clock: Clock, out: TextIO) -> None:
        self._total, self._number = len(todo), 0
        self._clock, self._out = clock, out
        self._spoke = time.monotonic()
        self._label = ""

    def started(self, stage: Stage) -> None:
        """Remember what runs."""
        self._clock.begin(stage)
        self._label = stage.label

    def progress(self, fraction: float) -> None:
        """Say where the stage is, where half a minute passed in silence."""
        self._clock.advance(fraction)
        if fraction < 1 and time.monotonic() - self._spoke > _LINE_EVERY_SECONDS:  # else its end is told next
            self._say(f"{self._label}: {fraction:.0%}, about {duration(self._clock.seconds_left)} left in all")

    def ended(self, result: StageResult) -> None:
        """Say how the stage ended."""
        self._number += 1
        self._clock.end(result.stage)
        self._say(f"[{self._number}/{max(self._total, self._number)}] {result.stage.label}: {outcome(result)}")

    def waiting(self, owner: str) -> None:
        """Say who is being waited for, where half a minute passed in silence."""
        if time.monotonic() - self._spoke > _LINE_EVERY_SECONDS:
            self._say(f"waiting for {owner}, which works on the rest")

    def close(self) -> None:
        """Nothing to take down."""

    def _say(self, line: str) -> None:
        print(line, file=self._out, flush=True)
        self._spoke = time.monotonic()


class LiveProgress:
    """Two bars, the current stage and the whole run, above which finished stages scroll by."""

    def __init__(self, todo: list[Stage], clock: Clock) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.text import Text

        self._text = Text
        self._clock = clock
        self._total, self._number = len(todo), 0
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[left]}"),
            console=Console(stderr=True),
            transient=True,
        )
        self._stage = self._bars.add_task("", total=1.0, left="", visible=False)
        self._run = self._bars.add_task(self._title(), total=1.0, left="")
        self._bars.start()

    def started(self, stage: Stage) -> None:
        """Show the stage's bar."""
        self._clock.begin(stage)
        self._bars.update(self._stage, description=stage.label, completed=0.0, visible=True)

    def progress(self, fraction: float) -> None:
        """Move both bars."""
        self._clock.advance(fraction)
        self._bars.update(self._stage, completed=fraction)
        self._show_run()

    def ended(self, result: StageResult) -> None:
        """Let the stage scroll by."""
        self._number += 1
        self._clock.end(result.stage)
        mark = ("✓ ", "green") if result.status == "done" else ("✗ ", "red")
        self._bars.console.print(self._text.assemble(mark, f"{result.stage.label}: {outcome(result)}"))
        self._bars.update(self._stage, visible=False)
        self._show_run()

    def waiting(self, owner: str) -> None:
        """Show who is being waited for."""
        self._bars.update(self._stage, description=f"waiting for {owner}", visible=True)

    def close(self) -> None:
        """Take the bars down."""
        self._bars.stop()

    def _title(self) -> str:
        return f"stage {min(self._number + 1, self._total)} of {self._total}"

    def _show_run(self) -> None:
        left = f"about {duration(self._clock.seconds_left)} left"
        self._bars.update(self._run, description=self._title(), completed=self._clock.fraction, left=left)


class Silence:
    """Nothing at all."""

    def started(self, stage: Stage) -> None:
        """Say nothing."""

    def progress(self, fraction: float) -> None:
        """Say nothing."""

    def ended(self, result: StageResult) -> None:
        """Say nothing."""

    def waiting(self, owner: str) -> None:
        """Say nothing."""

    def close(self) -> None:
        """Nothing to take down."""


def outcome(result: StageResult) -> str:
    """Return what is worth saying of a stage that ended."""
    if result.meta is None:
        # The reason is told once, with all cells that it cost: at the end.
        return f"FAILED ({result.cause} failed)" if result.cause else "FAILED, see the end"
    took = duration(result.ended - result.started)
    if "outcome" in result.meta:
        return f"{result.meta['outcome']['test_acc']:.1f} % test accuracy, {took}"
    if "audit" in result.meta:
        return f"largest change {result.meta['audit']['linf_levels']}/255, {took}"
    history = result.meta["history"]
    if not history["test_acc"]:
        return f"{history['train_acc'][-1]:.1f} % training accuracy, {took}"
    return f"{history['test_acc'][-1]:.1f} % test accuracy, {took}"


def choose_progress(todo: list[Stage], estimate: Callable[[Stage], float]) -> PlainProgress | LiveProgress:
    """Return the display that suits standard error, or the notebook that this runs in."""
    clock = Clock(todo, estimate)
    if _in_notebook():
        # On standard error a notebook shows everything as if it were wrong.
        return LiveProgress(todo, clock) if find_spec("ipywidgets") else PlainProgress(todo, clock, sys.stdout)
    return LiveProgress(todo, clock) if sys.stderr.isatty() else PlainProgress(todo, clock, sys.stderr)


def _in_notebook() -> bool:
    from rich.console import Console

    return Console().is_jupyter
