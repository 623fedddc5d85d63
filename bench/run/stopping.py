"""Stopping a run where nothing is lost, at a time limit or a signal, and a stage that takes too long."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from bench.core.duration import duration
from bench.core.errors import SepbenchError, Stopped
from bench.core.giving_up import forget, give_up

TIME_IS_UP = "stopped by --time-limit"
_LATE_SECONDS, _LATE_SHARE = 2.0, 0.1
"""How long after its time limit, in seconds and as a share of it, a run may stop without a word on it."""
_AGAIN_SECONDS = 5.0
"""How long after a stage was told that it took too long it is told again, where it goes on all the same."""
_INDIVISIBLE = "what was at work, such as an epoch or a shard, is finished first"


class Stop:
    """Whether to stop at the next safe point; `when_asked` is called once a signal asks for it.

    Parameters
    ----------
    time_limit
        Seconds from now until the run is to stop, None for no limit.
    stage_limit
        Seconds that each stage may take, None for no limit.

    """

    def __init__(self, time_limit: float | None = None, stage_limit: float | None = None) -> None:
        self.stage_limit = stage_limit
        self._deadline = None if time_limit is None else time.monotonic() + time_limit
        self._late = max(_LATE_SECONDS, _LATE_SHARE * (time_limit or 0.0))
        self._signal: str | None = None
        self.when_asked: list[Callable[[], None]] = []

    @property
    def seconds_left(self) -> float | None:
        """How long until the time limit, at least a moment; None without one."""
        return None if self._deadline is None else max(self._deadline - time.monotonic(), 0.001)

    def check(self) -> None:
        """Raise `Stopped` where the run is to end here."""
        if self._signal is not None:
            raise Stopped(f"stopped by {self._signal}")
        if self._deadline is not None and (late := time.monotonic() - self._deadline) >= 0:
            raise Stopped(TIME_IS_UP if late < self._late else f"{TIME_IS_UP}, {duration(late)} late: {_INDIVISIBLE}")

    @contextmanager
    def on_a_stage(self) -> Iterator[None]:
        """Raise `SepbenchError` in the block once it takes longer than a stage may, where it is `interruptible`.

        What runs outside Python is left first. In a thread other than the main one this does nothing.
        """
        if self.stage_limit is None or threading.current_thread() is not threading.main_thread():
            yield
            return
        error = SepbenchError(
            f"it took longer than --stage-limit {duration(self.stage_limit)}: what it has saved is kept, and the same "
            f"command goes on with it; give more time where it needs it"
        )
        before = signal.signal(signal.SIGALRM, lambda number, frame: give_up(error))
        callers = signal.setitimer(signal.ITIMER_REAL, self.stage_limit, _AGAIN_SECONDS)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, *callers)
            signal.signal(signal.SIGALRM, signal.SIG_DFL if before is None else before)
            forget()

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Let Ctrl-C and SIGTERM ask for a stop; a second one interrupts at once.

        In a thread other than the main one, where Python takes no signals, this does nothing.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def ask(number: int, frame: FrameType | None) -> None:
            if self._signal is not None:
                raise KeyboardInterrupt
            self._signal = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
            for tell in self.when_asked:
                tell()

        for number in before:
            signal.signal(number, ask)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
