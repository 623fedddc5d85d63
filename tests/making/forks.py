"""Processes that start as forks of one that has imported what takes seconds."""

import multiprocessing

# Python has one such server a process, which imports what was set last before it started: so it is set here alone.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.making.preloaded", "tests.making.whole_runs"])
