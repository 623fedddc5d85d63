"""Giving up what takes too long: only where nothing is held that nobody would give back."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Main:
    """Of the main thread, which alarms interrupt: in how many blocks it may be, and why it is to give up."""

    depth = 0
    overdue: Exception | None = None


@contextmanager
def interruptible() -> Iterator[None]:
    """Let `give_up` end the block, wherever it is just then; also one that it was too early for."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _Main.depth += 1
    try:
        if _Main.overdue is not None:
            raise _Main.overdue
        yield
    finally:
        _Main.depth -= 1


def give_up(error: Exception) -> None:
    """Raise an error where the main thread is `interruptible`, and else where it next is; a signal handler asks."""
    if _Main.depth:
        raise error
    _Main.overdue = error


def forget() -> None:
    """Give up nothing any more."""
    _Main.overdue = None
