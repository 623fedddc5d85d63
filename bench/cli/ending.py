"""The end of a command that runs a plan: what failed, and how it exits."""

import sys
from typing import TYPE_CHECKING

from bench.cli.options import say

if TYPE_CHECKING:
    from bench.run.invocation import Summary
    from bench.store.home import Home


def end(summary: "Summary", home: "Home") -> None:
    """Say what is doubtful and what failed; exit with 1 where something did, raise `Stopped` where it was stopped."""
    from bench.run.invocation import told_once

    for sentence in (*summary.doubts, *told_once(summary.failures)):
        say(sentence)
    summary.check_stopped()
    if summary.failures:
        say(f"{len(summary.failures)} of {len(summary.records)} cells failed{_tracebacks(summary, home)}")
        sys.exit(1)


def _tracebacks(summary: "Summary", home: "Home") -> str:
    """Return where to read how stages failed, as the end of a sentence; nothing where another process has told it."""
    from bench.data.counts import names_of
    from bench.run.executors.local import traceback_of

    files = (traceback_of(one.stage, home.logs) for one in summary.broken if one.cause is None)
    kept = list(dict.fromkeys(str(file) for file in files if file.is_file()))
    if not kept:
        return ""
    return f"; the traceback is in {kept[0]}" if len(kept) == 1 else f"; tracebacks are in {names_of(kept)}"
