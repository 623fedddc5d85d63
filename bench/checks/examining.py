"""`sepbench check`: what each check has found, in a line."""

import inspect
import os
import re
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.checks.failure import Failure
from bench.checks.subjects import Check, Subject
from bench.core.broken import told
from bench.core.errors import SepbenchError
from bench.core.origin import file_of


@dataclass(frozen=True)
class Finding:
    """What a check has found: passed (✓), failed (✗), or stopped by what another has told already (·)."""

    subject: str
    mark: Literal["✓", "✗", "·"]
    what: str

    def __str__(self) -> str:
        return f"  {self.mark} {self.what}"


def examine(subjects: Iterable[Subject]) -> Iterator[Finding]:
    """Yield what each check of each plug-in finds, as it ends."""
    for subject in subjects:
        said: set[str] = set()
        titles = dict.fromkeys(title for title, _ in subject.checks)
        for title in titles:
            sentences = [_sentence(subject, check) for other, check in subject.checks if other == title]
            new = {_gist(one): one for one in sentences if one is not None and _gist(one) not in said}
            said.update(new)
            for sentence in new.values():
                yield Finding(subject.title, "✗", f"{title}: {sentence}")
            if not new:
                passed = all(one is None for one in sentences)
                yield Finding(subject.title, "✓" if passed else "·", title if passed else f"{title}: see above")


def summary(findings: Iterable[Finding]) -> str:
    """Return how many checks passed and failed."""
    marks = [(one.subject, one.mark) for one in findings]
    plugins = len({subject for subject, _ in marks})
    passed, failed, stopped = (sum(mark == one for _, mark in marks) for one in "✓✗·")
    rest = f", {stopped} could not be told for that" if stopped else ""
    return f"{plugins} plug-in{'s' * (plugins != 1)}: {passed} checks passed, {failed} failed{rest}"


def _gist(sentence: str) -> str:
    """Return what sentences have in common that differ in numbers alone: one mistake shows at more than one size."""
    return re.sub(r"[0-9][0-9.e+-]*", "#", sentence)


def _sentence(subject: Subject, check: Check) -> str | None:
    try:
        check()
    except Failure as failure:
        where = _place(subject, failure.hook)
        return f"{where}{failure}"
    except KeyboardInterrupt:
        raise
    except SepbenchError as error:
        return f"{_last_line(subject, error)}{error}"
    except (Exception, SystemExit) as error:  # whatever the code of others does
        return f"{_last_line(subject, error)}it fails ({told(error)}): repair it"
    return None


def _place(subject: Subject, hook: str | None) -> str:
    """Return file and line of a hook, or of the plug-in itself, as it begins a sentence."""
    found = getattr(subject.plugin, hook or "", None)
    for one in (found, subject.plugin):
        try:
            _, line = inspect.getsourcelines(one)  # type: ignore[arg-type]
            path = inspect.getsourcefile(one)  # type: ignore[arg-type]
        except (OSError, TypeError):
            continue
        if path is not None and Path(path).resolve() == file_of(subject.plugin):
            return f"{_shown(path)}:{line}: "
    return ""


def _last_line(subject: Subject, error: BaseException) -> str:
    """Return the last line of the plug-in's file that an error has come through, as it begins a sentence."""
    file = file_of(subject.plugin)
    frames = [one for one in traceback.extract_tb(error.__traceback__) if Path(one.filename).resolve() == file]
    return f"{_shown(frames[-1].filename)}:{frames[-1].lineno}: " if frames else _place(subject, None)


def _shown(path: str) -> str:
    near = os.path.relpath(path)
    return path if near.startswith("..") else near
