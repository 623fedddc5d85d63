"""Stopping a run where nothing is lost: at a time limit, or when a signal asks for it."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from bench.core.errors import Stopped

TIME_IS_UP = "stopped by --time-limit"


class Stop:
    """Whether to stop at the next safe point; `when_asked` is called once a signal asks for it."""

    def __init__(self, time_limit: float | None = None) -> None:
        self._deadline = None if time_limit is None else time.monotonic() + time_limit
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
        if self._deadline is not None and time.monotonic() >= self._deadline:
            raise Stopped(TIME_IS_UP)

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
