"""What calls from Python have in common: errors in their words, warnings at their line, how they stop."""

import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from bench.core.broken import told
from bench.core.duration import parse_duration
from bench.core.errors import SepbenchError
from bench.flows.arguments import as_arguments, given_text
from bench.run.invocation import Summary
from bench.run.stopping import TIME_IS_UP

DEVICES = "'cpu', 'cuda', 'cuda:1' or 'auto'"
"""What may be given as `devices`."""

_OURS = Path(__file__).resolve().parents[1]


@contextmanager
def named_in_errors(files: Mapping[Path, str] = MappingProxyType({})) -> Iterator[None]:
    """Let a `SepbenchError` be its sentence alone, which calls files by the names of what they hold.

    What led to it is for those who work on sepbench. Options of commands are called as arguments are, and a plug-in
    that ends Python has failed.
    """
    try:
        yield
    except SystemExit as error:
        raise SepbenchError(f"a plug-in ends Python ({told(error)}): repair it") from error
    except SepbenchError as error:
        sentence = as_arguments(str(error))
        for file, name in files.items():
            sentence = sentence.replace(str(file), name)
        if sentence == str(error):
            raise error.with_traceback(None) from None
        raise SepbenchError(sentence) from None


def doubted(sentence: str) -> None:
    """Warn a person of what is doubtful, at the line of theirs that has called."""
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and Path(frame.f_code.co_filename).is_relative_to(_OURS):
        frame, level = frame.f_back, level + 1
    warnings.warn(as_arguments(sentence), stacklevel=level)


def seconds_of(limit: str | None, name: str = "time_limit") -> float | None:
    """Return how long a call or a stage may take; raises `SepbenchError` for what is no duration, by its name."""
    what = "a duration such as '90s', '9m' or '1h30m'"
    option = f"--{name.replace('_', '-')}"
    return None if limit is None else parse_duration(given_text(name, limit, what), option)


def interrupted(summary: Summary) -> None:
    """Raise where a person stopped the run, who wants what comes after it stopped, too."""
    if summary.stopped is not None and not summary.stopped.startswith(TIME_IS_UP):
        raise KeyboardInterrupt(f"{summary.stopped} after {summary.stages} stages")
