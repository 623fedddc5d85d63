"""How a person sees that a run goes on: what suits where it runs."""

import io
import sys
from importlib.machinery import ModuleSpec
from typing import Any

import pytest

from bench.run import progress
from bench.run.progress import PlainProgress, Silence, choose_progress


def a_notebook(monkeypatch: pytest.MonkeyPatch, *, with_widgets: bool) -> None:
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    spec = ModuleSpec("ipywidgets", None) if with_widgets else None
    monkeypatch.setattr(progress, "find_spec", lambda name: spec)


def chosen() -> Any:
    return choose_progress([], lambda stage: 1.0)


def test_standard_error_that_is_no_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    display = chosen()
    assert isinstance(display, PlainProgress)
    assert display._out is sys.stderr


def test_a_notebook_without_widgets_gets_lines_where_they_do_not_look_like_errors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a_notebook(monkeypatch, with_widgets=False)
    display = chosen()
    assert isinstance(display, PlainProgress)
    assert display._out is sys.stdout


def test_a_notebook_with_widgets_gets_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    a_notebook(monkeypatch, with_widgets=True)
    bars = object()
    monkeypatch.setattr(progress, "LiveProgress", lambda todo, clock: bars)
    assert chosen() is bars


def test_silence_says_nothing_whatever_happens(capfd: pytest.CaptureFixture[str]) -> None:
    silence: Any = Silence()
    for tell in (silence.started, silence.progress, silence.ended, silence.waiting):
        tell(None)
    silence.close()
    assert capfd.readouterr() == ("", "")
