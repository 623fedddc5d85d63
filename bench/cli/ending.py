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
        say(f"{len(summary.failures)} of {len(summary.records)} cells failed; tracebacks are in {home.logs}")
        sys.exit(1)
